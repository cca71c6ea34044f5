//! Every rule there is: its name, how grave it is, what it says in general.

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Pods will not start, or will not get what was meant.
    Error,
    /// It works, and may surprise.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

macro_rules! rules {
    ($($rule:ident $id:literal $severity:ident $about:literal)+) => {
        /// A rule that manifests are held against.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $about] $rule,)+
        }

        impl Rule {
            /// Every rule, as documentation lists them.
            pub const ALL: &[Self] = &[$(Self::$rule),+];

            /// Its name in reports; it does not change.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$rule => $id,)+ }
            }

            /// How grave it is to break it.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$rule => Severity::$severity,)+ }
            }

            /// What is wrong when it is broken.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$rule => $about,)+ }
            }
        }
    };
}

rules! {
    Yaml "yaml" Error "A file is not YAML."
    NothingToCheck "nothing-to-check" Error "A file has neither a SecretProviderClass, nor a pod that mounts one, nor a PhaseSecret."
    ApiVersion "api-version" Error "A SecretProviderClass has no apiVersion, or one that no driver serves."
    DeprecatedApiVersion "deprecated-api-version" Warning "A SecretProviderClass uses v1alpha1."
    Name "name" Error "A name is missing, or none that Kubernetes takes."
    DuplicateClass "duplicate-class" Error "Two classes of one name: the later one replaces the earlier."
    Provider "provider" Error "spec.provider is missing or misspelt."
    OtherProvider "other-provider" Note "The class is another provider's, and not checked."
    UnknownField "unknown-field" Error "A field that the driver does not know."
    DuplicateField "duplicate-field" Error "A field is written twice."
    WrongType "wrong-type" Error "A list where a text belongs, an unquoted number, and the like."
    MissingField "missing-field" Error "A field that the driver needs."
    Parameters "parameters" Error "The provider would refuse the class's parameters."
    ObjectName "object-name" Error "secretObjects names a file that the class does not make."
    DynamicObjectName "dynamic-object-name" Warning "secretObjects names a file that exists only if Phase has the key."
    DuplicateSecret "duplicate-secret" Error "Two entries of secretObjects write one Secret."
    SecretKey "secret-key" Error "A key that a Secret cannot have, or has twice."
    SecretType "secret-type" Warning "A type of Secret that Kubernetes does not know."
    SecretTypeKeys "secret-type-keys" Error "A type of Secret demands a key that is not there, or takes no other."
    Driver "driver" Error "A volume's driver is misspelt."
    ReadOnly "read-only" Error "A volume is not read-only; the driver refuses it."
    UnknownClass "unknown-class" Warning "A volume names a class that is in none of the files."
    OtherNamespace "other-namespace" Error "A pod names a class or Secret of another namespace."
    Override "override" Warning "A volume's attributes override the class's parameters."
    UnknownAttribute "unknown-attribute" Error "A volume has an attribute that is no parameter."
    NoToken "no-token" Error "A volume names no Secret with the Phase token."
    TokenKey "token-key" Error "The Secret with the Phase token has it under no known key."
    SubPath "sub-path" Warning "A container mounts a volume by subPath, and sees no change of a secret."
    FileMode "file-mode" Warning "A container that does not run as root cannot read the files."
    CrossNamespaceRef "cross-namespace-ref" Warning "A PhaseSecret names a Secret of another namespace: the controller refuses it unless told otherwise."
    PrivilegedSecretType "privileged-secret-type" Warning "A PhaseSecret or mirror writes a token of the cluster: the controller refuses it unless told otherwise."
    MirrorOverwrite "mirror-overwrite" Warning "mirror overwrites Secrets of others: the controller refuses it unless told otherwise."
    PhaseToken "phase-token" Error "Online: the token is missing, damaged, expired or refused."
    PhaseUnreachable "phase-unreachable" Error "Online: Phase gives no usable answer: address, network, TLS certificate, load."
    PhaseForbidden "phase-forbidden" Error "Online: the token may not read what the class names."
    PhaseNotFound "phase-not-found" Error "Online: the app, environment, folder or key does not exist."
    PhaseReference "phase-reference" Error "Online: a reference in a value cannot be resolved."
    PhaseReferenceKept "phase-reference-kept" Warning "Online: a reference cannot be resolved, and its text stays."
    PhaseDynamic "phase-dynamic" Warning "Online: the class reaches a dynamic secret, which is not served yet."
    PhaseContents "phase-contents" Error "Online: the secrets do not decrypt, or cannot be the files that the class asks for."
    AnswerSize "answer-size" Error "Online: the files are more than the driver takes."
    Online "online" Note "Online: what a pod would get, and with how many requests."
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_has_its_own_name_in_kebab_case() {
        let ids: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(ids.len(), Rule::ALL.len());
        for id in ids {
            assert!(
                id.bytes().all(|c| c == b'-' || c.is_ascii_lowercase()),
                "{id}"
            );
        }
    }
}
