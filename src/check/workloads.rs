//! Pods in manifests, and their volumes of the driver.

use crate::manifest::{Manifest, value};
use crate::yaml::Node;

/// The driver's name, as volumes write it.
pub(super) const DRIVER: &str = "secrets-store.csi.k8s.io";
/// The attribute that names the class.
pub(super) const CLASS_ATTRIBUTE: &str = "secretProviderClass";

/// Where kinds keep their pod.
const PODS: [&[&str]; 4] = [
    &["spec", "template", "spec"],
    &["spec", "jobTemplate", "spec", "template", "spec"],
    &["template", "spec"],
    &["spec"],
];

/// A volume that is, or is meant to be, the driver's.
pub(super) struct Volume<'a> {
    /// The pod.
    pub(super) pod: &'a Node,
    /// Its name in the pod.
    pub(super) name: &'a str,
    /// What stands under `csi`.
    pub(super) csi: &'a Node,
}

impl<'a> Volume<'a> {
    /// An attribute's value.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a Node> {
        self.csi.get("volumeAttributes")?.get(name)
    }

    /// The class's name, when it is written.
    pub(super) fn class(&self) -> Option<&'a Node> {
        let class = self.attribute(CLASS_ATTRIBUTE)?;
        (!class.is_null()).then_some(class)
    }

    /// The driver as it is written.
    pub(super) fn driver(&self) -> &'a str {
        let driver = self.csi.get("driver").and_then(Node::text);
        driver.unwrap_or_default()
    }

    /// All containers of the pod that mount it, with the mount.
    pub(super) fn mounts(&self) -> impl Iterator<Item = (&'a Node, &'a Node)> {
        let name = self.name;
        let containers = ["containers", "initContainers"]
            .into_iter()
            .flat_map(|field| list(self.pod, field));
        containers.flat_map(move |container| {
            list(container, "volumeMounts")
                .iter()
                .filter(move |mount| mount.get("name").and_then(Node::text) == Some(name))
                .map(move |mount| (container, mount))
        })
    }
}

/// The driver's volumes of the pod that a manifest is or makes.
pub(super) fn volumes(manifest: &Manifest) -> Vec<Volume<'_>> {
    let pods = PODS.iter().filter_map(|path| value(&manifest.node, path));
    let Some(pod) = pods.into_iter().find(|pod| pod.get("volumes").is_some()) else {
        return Vec::new();
    };
    let volumes = list(pod, "volumes").iter().filter_map(|volume| {
        Some(Volume {
            pod,
            name: volume.get("name").and_then(Node::text).unwrap_or_default(),
            csi: volume.get("csi")?,
        })
    });
    volumes.filter(is_of_driver).collect()
}

fn is_of_driver(volume: &Volume<'_>) -> bool {
    volume.attribute(CLASS_ATTRIBUTE).is_some()
        || crate::spelling::near(volume.driver(), &[DRIVER]).is_some()
}

/// The items of a field, none when it is no list.
pub(super) fn list<'a>(node: &'a Node, field: &str) -> &'a [Node] {
    node.get(field).and_then(Node::list).unwrap_or_default()
}
