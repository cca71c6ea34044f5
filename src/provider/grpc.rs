//! The provider contract `v1alpha1`, generated from `proto/provider.proto`.
//!
//! The only file that sees generated code. The messages carry tokens and
//! plaintext: they have no `Debug`, and the fields that do are wiped when a
//! message is dropped.

#![allow(
    clippy::allow_attributes,
    clippy::missing_errors_doc,
    clippy::use_self,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code"
)]

use zeroize::Zeroize;

tonic::include_proto!("v1alpha1");

impl MountRequest {
    /// A request as the driver makes it: two JSON texts; the fields that only
    /// inform are empty.
    pub fn new(attributes: impl Into<String>, secrets: impl Into<String>) -> Self {
        Self {
            attributes: attributes.into(),
            secrets: secrets.into(),
            target_path: String::new(),
            permission: String::from("420"),
            current_object_version: Vec::new(),
        }
    }
}

impl Drop for MountRequest {
    fn drop(&mut self) {
        self.attributes.zeroize();
        self.secrets.zeroize();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.contents.zeroize();
    }
}
