//! The driver's attributes: whose pod it is, and the parameters of its class.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cause::Cause;

/// Whose pod it is and the parameters of its class, as the driver joined them.
///
/// The driver lays the volume's attributes over the class's parameters, so a
/// pod author can have written any parameter; the pod's own keys come from
/// kubelet last and can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    pod: Pod,
    class: Option<String>,
    parameters: BTreeMap<String, String>,
}

/// The pod that mounts, as kubelet names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its service account.
    pub service_account: String,
    /// Its UID; never used twice.
    pub uid: String,
}

/// Why the request's attributes cannot be read. These are the driver's doing,
/// not the class author's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributesError {
    /// No namespace came with them.
    #[error(
        "attributes of the mount request name no pod namespace: the CSIDriver object must have podInfoOnMount: true"
    )]
    NoNamespace,
    /// Not a JSON object of texts.
    #[error(
        "attributes of the mount request are not a JSON object of texts: this is for the driver to mend: check its version"
    )]
    NotJson,
}

impl AttributesError {
    /// Always a wrong request.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        Cause::InvalidClass
    }
}

const OF_KUBELET: &str = "csi.storage.k8s.io/";
const CLASS: &str = "secretProviderClass";

impl Attributes {
    /// Reads the JSON text of a mount request.
    ///
    /// # Errors
    /// When it is not a JSON object of texts, or names no namespace.
    pub fn parse(json: &str) -> Result<Self, AttributesError> {
        let Texts(mut all) = serde_json::from_str(json).map_err(|_| AttributesError::NotJson)?;
        let mut take = |key: &str| {
            all.remove(&format!("{OF_KUBELET}{key}"))
                .unwrap_or_default()
        };
        let pod = Pod {
            namespace: take("pod.namespace"),
            name: take("pod.name"),
            service_account: take("serviceAccount.name"),
            uid: take("pod.uid"),
        };
        if pod.namespace.is_empty() {
            return Err(AttributesError::NoNamespace);
        }
        let class = all.remove(CLASS);
        all.retain(|key, _| !key.starts_with(OF_KUBELET));
        Ok(Self {
            pod,
            class,
            parameters: all,
        })
    }

    /// The pod that mounts.
    #[must_use]
    pub const fn pod(&self) -> &Pod {
        &self.pod
    }

    /// The class, for errors and logs: `namespace/name`, or the namespace alone
    /// where an older driver does not say the name.
    #[must_use]
    pub fn class_name(&self) -> String {
        match &self.class {
            Some(class) => format!("{}/{class}", self.pod.namespace),
            None => format!("of namespace {}", self.pod.namespace),
        }
    }

    /// The parameters: what the class says, and what the pod's volume put over it.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.parameters.iter();
        pairs.map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Refuses anything but texts, and needs no value in its errors.
#[derive(Deserialize)]
struct Texts(BTreeMap<String, String>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_kubelet_and_the_driver_are_no_parameters() {
        let attributes = Attributes::parse(
            r#"{"csi.storage.k8s.io/pod.namespace":"shop","csi.storage.k8s.io/pod.name":"web-0",
                "csi.storage.k8s.io/ephemeral":"true","csi.storage.k8s.io/serviceAccount.name":"web",
                "secretProviderClass":"keys","phaseApp":"a"}"#,
        )
        .expect("well-formed");
        assert_eq!(
            attributes.parameters().collect::<Vec<_>>(),
            [("phaseApp", "a")]
        );
        assert_eq!(attributes.class_name(), "shop/keys");
        assert_eq!(attributes.pod().service_account, "web");
    }

    #[test]
    fn a_rotation_of_an_older_driver_has_no_class_name() {
        let json = r#"{"csi.storage.k8s.io/pod.namespace":"shop"}"#;
        let attributes = Attributes::parse(json).expect("well-formed");
        assert_eq!(attributes.class_name(), "of namespace shop");
    }

    #[test]
    fn what_is_not_an_object_of_texts_is_refused() {
        for json in ["", "null", "[]", r#"{"a":1}"#, r#"{"a":"b""#] {
            assert_eq!(
                Attributes::parse(json),
                Err(AttributesError::NotJson),
                "{json}"
            );
        }
        assert_eq!(Attributes::parse("{}"), Err(AttributesError::NoNamespace));
    }
}
