//! The CSI client: what kubelet sends to a driver.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::use_self,
    unused_qualifications,
    reason = "generated code"
)]

tonic::include_proto!("csi.v1");

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use node_client::NodeClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use volume_capability::access_mode::Mode;
use volume_capability::{AccessMode, MountVolume};

/// How long kubelet waits for one call.
const CALL: Duration = Duration::from_secs(120);

/// A driver's socket.
#[derive(Clone)]
pub(crate) struct Driver(Channel);

impl Driver {
    pub(crate) async fn connect(socket: &Path) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::try_from(format!("unix://{}", socket.display()))?;
        Ok(Self(endpoint.connect().await?))
    }

    /// Whether the driver answers.
    pub(crate) async fn is_ready(&self) -> bool {
        identity_client::IdentityClient::new(self.0.clone())
            .probe(ProbeRequest {})
            .await
            .is_ok()
    }

    /// The name and the version that the driver gives itself.
    pub(crate) async fn name(&self) -> Result<(String, String), Status> {
        let mut client = identity_client::IdentityClient::new(self.0.clone());
        let info = client
            .get_plugin_info(GetPluginInfoRequest {})
            .await?
            .into_inner();
        Ok((info.name, info.vendor_version))
    }

    pub(crate) async fn publish(
        &self,
        target: &Path,
        context: HashMap<String, String>,
        secrets: HashMap<String, String>,
    ) -> Result<(), Status> {
        let mut request = Request::new(NodePublishVolumeRequest {
            volume_id: volume_id(target),
            target_path: target.display().to_string(),
            volume_capability: Some(VolumeCapability {
                access_type: Some(volume_capability::AccessType::Mount(MountVolume::default())),
                access_mode: Some(AccessMode {
                    mode: Mode::SingleNodeWriter.into(),
                }),
            }),
            readonly: true,
            secrets,
            volume_context: context,
        });
        request.set_timeout(CALL);
        NodeClient::new(self.0.clone())
            .node_publish_volume(request)
            .await?;
        Ok(())
    }

    pub(crate) async fn unpublish(&self, target: &Path) -> Result<(), Status> {
        let mut request = Request::new(NodeUnpublishVolumeRequest {
            volume_id: volume_id(target),
            target_path: target.display().to_string(),
        });
        request.set_timeout(CALL);
        NodeClient::new(self.0.clone())
            .node_unpublish_volume(request)
            .await?;
        Ok(())
    }
}

/// kubelet makes up the id of an ephemeral volume from its pod and its name.
fn volume_id(target: &Path) -> String {
    let text = target.display().to_string();
    format!(
        "csi-{}",
        text.bytes().fold(0_u64, |sum, byte| sum
            .wrapping_mul(31)
            .wrapping_add(byte.into()))
    )
}
