//! Everything that can be known without a network.

use std::collections::HashMap;

use super::finding::{Finding, Findings};
use super::language::{self, Reading};
use super::rule::Rule;
use super::volumes::{self, Around};
use super::{classes, rights, secret_objects, workloads};
use crate::manifest::{File, Manifest, ProviderClass};
use crate::phase::allowed::AllowedHosts;

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Classes of phase.
    pub classes: usize,
    /// Volumes of pods.
    pub volumes: usize,
    /// Requests to Phase, when it was asked.
    pub requests: Option<usize>,
}

/// What is found so far, and what it is found in.
pub(super) struct Checked<'a> {
    pub(super) files: &'a [File],
    pub(super) classes: Vec<(&'a File, ProviderClass)>,
    /// One for each class.
    pub(super) readings: Vec<Reading>,
    pub(super) findings: Vec<Finding>,
    pub(super) summary: Summary,
}

impl<'a> Checked<'a> {
    /// Everything that can be known without a network.
    pub(super) fn offline(files: &'a [File], hosts: &AllowedHosts) -> Self {
        let of = |file: &'a File| file.classes().into_iter().map(move |class| (file, class));
        let mut checked = Self {
            files,
            classes: files.iter().flat_map(of).collect(),
            readings: Vec::new(),
            findings: Vec::new(),
            summary: Summary::default(),
        };
        for number in 0..checked.classes.len() {
            let (file, class) = checked.classes[number].clone();
            let reading = checked.class(file, &class, hosts);
            checked.readings.push(reading);
        }
        checked.duplicates();
        checked.pods();
        checked.nothing();
        checked
    }

    fn class(&mut self, file: &File, class: &ProviderClass, hosts: &AllowedHosts) -> Reading {
        let mut findings = Findings::about(file, &class.manifest);
        let mut reading = Reading::default();
        if classes::is_ours(class, &mut findings) {
            self.summary.classes += 1;
            classes::resource(class, &mut findings);
            if !class.parameters.is_empty() {
                reading = language::read(class, hosts, &mut findings);
            }
            secret_objects::check(class, &reading, &mut findings);
            if let Some(read) = &reading.class {
                rights::of_class(class, read, &mut findings);
            }
        }
        self.findings.append(&mut findings.into_vec());
        reading
    }

    fn duplicates(&mut self) {
        let mut seen = HashMap::new();
        for (file, class) in self
            .classes
            .iter()
            .filter(|(_, class)| !class.name.is_empty())
        {
            let key = (class.namespace_or_default(), class.name.as_str());
            if let Some((first, at)) = seen.insert(key, (file.name(), class.at)) {
                let mut findings = Findings::about(file, &class.manifest);
                let message = format!(
                    "a class of this name is also in {first}, line {}: the later one replaces it: rename one",
                    at.line
                );
                findings.add(Rule::DuplicateClass, class.at, message);
                self.findings.append(&mut findings.into_vec());
            }
        }
    }

    fn pods(&mut self) {
        let is_secret = |manifest: &&Manifest| manifest.kind == "Secret";
        let manifests = self.files.iter().flat_map(File::manifests);
        let classes = self.classes.iter().map(|(_, class)| class);
        let around = Around {
            classes: classes.zip(&self.readings).collect(),
            secrets: manifests.filter(is_secret).collect(),
        };
        for file in self.files {
            for manifest in file.manifests() {
                let mut findings = Findings::about(file, manifest);
                if classes::is_nearly_class(manifest) {
                    classes::kind(manifest, &mut findings);
                }
                rights::of_resource(manifest, &mut findings);
                for volume in workloads::volumes(manifest) {
                    self.summary.volumes += 1;
                    volumes::check(manifest, &volume, &around, &mut findings);
                }
                self.findings.append(&mut findings.into_vec());
            }
        }
    }

    /// A check of nothing must not look like success.
    fn nothing(&mut self) {
        let mut manifests = self.files.iter().flat_map(File::manifests);
        let is_something = self.classes.len() + self.summary.volumes > 0;
        if is_something || !self.findings.is_empty() || manifests.any(rights::is_resource) {
            return;
        }
        for file in self.files {
            let mut findings = Findings::named(file.name(), "file".to_owned());
            let message = "neither a SecretProviderClass, nor a pod with a volume of the driver, nor a PhaseSecret is in it: give the file that has one";
            findings.push(Rule::NothingToCheck, None, message);
            self.findings.append(&mut findings.into_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::check::migrate;
    use crate::check::report::Report;
    use crate::phase::host::Host;

    /// Something of everything that rules look at.
    const WHOLE: &str = r#"
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: keys, namespace: shop}
spec:
  provider: phase
  parameters:
    phaseApp: "payments"
    objects: |
      - secretKey: é
        objectName: tls/key
      - {include: [DB_*], encoding: base64}
  secretObjects:
    - {secretName: web, type: kubernetes.io/tls, labels: {a: b}, data: [{objectName: tls/key, key: tls.key}]}
---
kind: List
items:
- kind: Secret
  metadata: {name: t}
  stringData: {token: CANARY}
- kind: CronJob
  metadata: {name: web}
  spec: {jobTemplate: {spec: {template: {spec: {
    containers: [{name: c, volumeMounts: [{name: s, subPath: a}], securityContext: {runAsUser: 5}}],
    volumes: [{name: s, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, nodePublishSecretRef: {name: t},
      volumeAttributes: {secretProviderClass: keys, phaseAppEnv: x}}}]}}}}}
---
apiVersion: secrets.phase.dev/v1alpha1
kind: PhaseSecret
metadata: {name: p}
spec:
  phaseApp: payments
  managedSecretReferences:
    - {secretName: web, nameTransformer: camel, processors: {A_B: {type: base64, nameTransformer: x}}}
"#;

    fn look_at(text: &str) {
        let Ok(file) = File::parse("x.yaml", text) else {
            return;
        };
        let _ = migrate::migrate(&file);
        let hosts = AllowedHosts::new(Host::default(), &["*"]).expect("is fine");
        let files = [file];
        let checked = Checked::offline(&files, &hosts);
        let report = Report::new(&files, checked.findings, checked.summary);
        for form in [report.human(true), report.json(), report.github()] {
            assert!(!form.is_empty() || report.github().is_empty());
        }
    }

    proptest! {
        /// Whatever somebody types or cuts away, there is a report.
        #[test]
        fn no_manifest_ends_the_check(
            from in 0..WHOLE.len(),
            length in 0..60usize,
            typed in prop_oneof![Just(""), Just("é"), Just("[a]"), Just("{}"), Just("\n"), Just("~"), Just("\t"), Just("|"), Just("*x")],
        ) {
            let mut from = from;
            while !WHOLE.is_char_boundary(from) {
                from -= 1;
            }
            let mut to = (from + length).min(WHOLE.len());
            while !WHOLE.is_char_boundary(to) {
                to -= 1;
            }
            look_at(&format!("{}{typed}{}", &WHOLE[..from], &WHOLE[to.max(from)..]));
        }
    }
}
