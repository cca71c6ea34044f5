//! The volumes of classes that a workload's pods mount, and what is asked for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use k8s_openapi::api::core::v1::PodSpec;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Resource, ResourceExt};

use super::{Following, STARTED_WITH};
use crate::class::Class;
use crate::digest;
use crate::managed::contents::refused;
use crate::managed::mirror::SecretProviderClass;
use crate::managed::redeploy::{Workload, wishes};
use crate::managed::status::Trouble;
use crate::phase::Answer;
use crate::quota::{Allowance, Tenant};
use crate::render::{self, Layout};
use crate::snapshot::{About, Made, Recipe, Refusal, Settings, Upstream, VolumeId};

const DRIVER: &str = "secrets-store.csi.k8s.io";

/// A volume of a class.
#[derive(Clone)]
pub(super) struct Mounted {
    pub(super) volume: String,
    pub(super) class: String,
    pub(super) token: Option<String>,
    pub(super) attributes: BTreeMap<String, String>,
}

impl<U: Upstream> Following<U> {
    /// How long after a change no node has the old one in its memory any more; a little
    /// later for each workload, so that those of one class do not restart together.
    pub(super) fn settled(&self) -> Duration {
        Settings::fresh(self.interval).mul_f64(1.0 + 0.1 * fastrand::f64())
    }

    /// Parameters of a class; those that are refused are read once.
    pub(super) async fn read(
        &self,
        tenant: &Tenant,
        inputs: [u8; 32],
        parameters: BTreeMap<String, String>,
    ) -> Result<Class, Trouble> {
        if let Some(trouble) = self.refused.of(&inputs, &()) {
            return Err(trouble);
        }
        let Allowance { job, memory } = self.snapshot.allowance(tenant);
        let hosts = self.hosts.clone();
        let read = job.run(move |_| {
            memory.take(SecretProviderClass::reading_bytes_of(&parameters) as u64)?;
            Ok::<_, Refusal>(SecretProviderClass::read(&parameters, &hosts))
        });
        let read = read.await.map_err(Refusal::from).and_then(|read| read);
        let read = read.map_err(|refusal| Trouble::new(refusal.cause.into(), refusal))?;
        self.refused.read(inputs, (), &read);
        read
    }
}

/// The volumes of classes.
pub(super) fn volumes(spec: &PodSpec) -> Arc<[Mounted]> {
    let volumes = spec.volumes.iter().flatten().filter_map(|volume| {
        let csi = volume.csi.as_ref().filter(|csi| csi.driver == DRIVER)?;
        let mut attributes = csi.volume_attributes.clone()?;
        Some(Mounted {
            volume: volume.name.clone(),
            class: attributes.remove("secretProviderClass")?,
            token: csi
                .node_publish_secret_ref
                .as_ref()
                .map(|of| of.name.clone()),
            attributes,
        })
    });
    volumes.collect()
}

/// The volume of a workload, as what is asked for again.
pub(super) fn volume<W: Workload>(object: &PartialObjectMeta<W>, mounted: &Mounted) -> VolumeId {
    let uid = object.uid().unwrap_or_default();
    digest::id(["mounted", &uid, &mounted.volume].map(str::as_bytes))
}

/// How the memory gets the version of a class, and nothing else of it.
pub(super) fn recipe(class: Class, interval: Duration) -> Recipe {
    let class_bytes = class.bytes();
    let Class { query, layout, .. } = class;
    Recipe {
        query,
        max_stale: None,
        poll_interval: Some(interval),
        bytes: class_bytes,
        make: Box::new(move |answer, allowance| make(answer, layout.clone(), allowance).boxed()),
    }
}

async fn make(answer: Answer, layout: Layout, allowance: Allowance) -> Result<Made, Refusal> {
    let about = About {
        app: answer.app.clone(),
        environments: answer.environments(),
        ..About::default()
    };
    let files = render::files_apart(answer, layout, allowance);
    let files = files.await.map_err(refused)?;
    let version = render::version(&files);
    Ok(Made {
        bytes: version.clone().into_bytes().into(),
        about: About {
            files: files.len(),
            version,
            ..about
        },
    })
}

/// Of what is watched, the workloads that wish to be restarted; and of those no more than
/// is looked at.
pub(in crate::managed) fn wishing<W: Workload>(
    event: watcher::Event<PartialObjectMeta<W>>,
) -> Option<watcher::Event<PartialObjectMeta<W>>> {
    use watcher::Event;
    match event {
        Event::Apply(object) if !wishes(object.meta()) => Some(Event::Delete(object)),
        Event::InitApply(object) if !wishes(object.meta()) => None,
        Event::Apply(object) => Some(Event::Apply(thin(object))),
        Event::InitApply(object) => Some(Event::InitApply(thin(object))),
        event => Some(event),
    }
}

fn thin<W: Workload>(mut object: PartialObjectMeta<W>) -> PartialObjectMeta<W> {
    object.managed_fields_mut().clear();
    object.labels_mut().clear();
    object
        .annotations_mut()
        .retain(|key, _| key.starts_with(STARTED_WITH));
    object
}
