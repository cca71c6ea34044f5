//! From a [`Configuration`] to YAML, with the next commands at the top.

use std::fmt::{self, Write};

use secrecy::ExposeSecret;

use super::args::Resource;
use super::configuration::{Cipher, Configuration, Entry, Kind, Kms, Provider};
use crate::manifest::as_scalar;
use crate::render::wiped::WipedBuffer;

/// What was done, for the comments.
pub(super) struct Done<'a> {
    /// The entry that has something new.
    pub(super) entry: &'a Entry,
    /// What was asked for of it.
    pub(super) resources: &'a [Resource],
    /// What is new in a file that there was; none in one from nothing.
    pub(super) rotated: Option<String>,
}

/// Writes it.
pub(super) fn write(
    configuration: &Configuration,
    done: &Done<'_>,
    out: &mut WipedBuffer,
) -> fmt::Result {
    comments(done, out)?;
    out.write_str("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n")?;
    out.write_str("resources:\n")?;
    let mut entries = configuration.entries.iter();
    entries.try_for_each(|entry| write_entry(entry, out))
}

fn comments(done: &Done<'_>, out: &mut WipedBuffer) -> fmt::Result {
    match &done.rotated {
        None => out.write_str("# Encryption at rest, for kube-apiserver.\n")?,
        Some(new) => writeln!(out, "# {new} is new and comes first.")?,
    }
    if let Some(first) = done.entry.providers.first() {
        about(first, out)?;
    }
    out.write_str(
        "\
# 1. On each control-plane node, for root alone:
#    install -m 600 encryption.yaml /etc/kubernetes/encryption.yaml
# 2. Mount it into kube-apiserver, and restart that with
#    --encryption-provider-config=/etc/kubernetes/encryption.yaml
#    Several API servers must all read what one of them writes: first restart each with
",
    )?;
    out.write_str(match done.rotated {
        None => "#    identity moved to the top, then each with this file.\n",
        Some(_) => "#    what is new moved one place down, then each with this file.\n",
    })?;
    rewrite(done, out)?;
    left(done, out)
}

fn about(first: &Provider, out: &mut WipedBuffer) -> fmt::Result {
    let cipher = match &first.kind {
        Kind::Kms(kms) => {
            out.write_str(
                "# The key lies in the KMS and is rotated there. Its plugin must answer on\n",
            )?;
            return writeln!(out, "# {} before kube-apiserver starts.", kms.endpoint);
        }
        Kind::Identity => return Ok(()),
        Kind::Local { cipher, .. } => cipher,
    };
    out.write_str("# This file holds the key: who has both it and etcd reads everything.\n")?;
    out.write_str(match cipher {
        Cipher::Secretbox => "",
        Cipher::Aesgcm => "# A key of aesgcm wears out: rotate it before 200,000 writes.\n",
        Cipher::Aescbc => {
            "# aescbc does not notice when somebody changes what is stored: prefer secretbox.\n"
        }
    })
}

/// Writing everything again. A resource that is not defined is said and passed over, since
/// `kubectl get` of several gives none of them then; whatever else fails ends the command.
fn rewrite(done: &Done<'_>, out: &mut WipedBuffer) -> fmt::Result {
    let (wildcards, named) = names(done);
    out.write_str(
        "\
# 3. Write everything again: what is not written again stays as it is. Repeat it until it says
#    that all is written: an object may change or go meanwhile.
#    bash -euo pipefail -c '
#      defined=$(kubectl api-resources --verbs=list,update -o name)
",
    )?;
    writeln!(out, "#      for resource in {}; do", named.join(" "))?;
    out.write_str(
        "\
#        grep -qx \"$resource\" <<< \"$defined\" || { echo \"$resource: not defined\"; continue; }
#        all=$(kubectl get \"$resource\" --all-namespaces -o name)
#        [[ -n $all ]] || continue
#        kubectl get \"$resource\" --all-namespaces -o json | kubectl replace -f -
#      done
#      echo \"all is written\"'
",
    )?;
    if !wildcards.is_empty() {
        let wildcards = wildcards.join(", ");
        writeln!(
            out,
            "#    and likewise whatever else {wildcards} stands for"
        )?;
    }
    Ok(())
}

/// What must not be left before the last step, and that step.
fn left(done: &Done<'_>, out: &mut WipedBuffer) -> fmt::Result {
    out.write_str("# 4. Look whether something else is left, where etcd runs:\n")?;
    if done.rotated.is_some() {
        return out.write_str(
            "\
#    etcdctl get /registry/ --prefix --print-value-only |
#      grep -aoE \"^k8s:enc:[^:]+:v[12]:[^:]+:\" | sort | uniq -c
#    Of what belongs to the older keys nothing may be shown.
# 5. Only then remove the older keys, and restart. Backups of etcd from before need them.
",
        );
    }
    let (_, named) = names(done);
    // Where those of a group lie depends on who has defined them.
    for name in named.iter().filter(|name| !name.contains('.')) {
        writeln!(
            out,
            "#    etcdctl get /registry/{name}/ --prefix --print-value-only | grep -aPc \"^k8s\\x00\""
        )?;
    }
    out.write_str(
        "\
#    It must count 0: so many objects are plain text.
# 5. Then remove identity, and restart: plain text is not taken any more.
",
    )
}

/// The resources that are written again: wildcards, and those with a name.
fn names<'a>(done: &Done<'a>) -> (Vec<&'a str>, Vec<&'a str>) {
    let is_wildcard = |name: &&str| name.contains('*');
    let names = done.entry.resources.iter().map(String::as_str);
    let (wildcards, named): (Vec<_>, Vec<_>) = names.partition(is_wildcard);
    let named: Vec<_> = named
        .iter()
        .map(|name| name.trim_end_matches('.'))
        .collect();
    let asked = done.resources.iter().map(Resource::as_str);
    let further: Vec<_> = asked.filter(|name| !named.contains(name)).collect();
    (wildcards, [further, named].concat())
}

fn write_entry(entry: &Entry, out: &mut WipedBuffer) -> fmt::Result {
    out.write_str("- resources:\n")?;
    for resource in &entry.resources {
        writeln!(out, "  - {}", as_scalar(resource))?;
    }
    out.write_str("  providers:\n")?;
    let mut providers = entry.providers.iter();
    providers.try_for_each(|provider| write_provider(provider, out))
}

fn write_provider(provider: &Provider, out: &mut WipedBuffer) -> fmt::Result {
    let field = provider.field();
    match &provider.kind {
        Kind::Identity => writeln!(out, "  - {field}: {{}}"),
        Kind::Kms(kms) => {
            writeln!(out, "  - {field}:")?;
            write_kms(kms, out)
        }
        Kind::Local { keys, .. } => {
            writeln!(out, "  - {field}:\n      keys:")?;
            keys.iter().try_for_each(|key| {
                writeln!(out, "      - name: {}", as_scalar(&key.name))?;
                // Base64: nothing in it needs to be escaped, or copied for that.
                writeln!(out, "        secret: \"{}\"", key.secret.expose_secret())
            })
        }
    }
}

fn write_kms(kms: &Kms, out: &mut WipedBuffer) -> fmt::Result {
    let version = kms.api_version.as_deref().map(as_scalar);
    let fields = [
        ("apiVersion", version),
        ("name", Some(as_scalar(&kms.name))),
        ("endpoint", Some(as_scalar(&kms.endpoint))),
        ("cachesize", kms.cachesize.clone()),
        ("timeout", kms.timeout.as_deref().map(as_scalar)),
    ];
    let written = fields
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    written
        .into_iter()
        .try_for_each(|(name, value)| writeln!(out, "      {name}: {value}"))
}
