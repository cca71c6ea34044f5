//! Certificates, good and bad, and the handshakes that show them.

use crate::fault::BadCertificate;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// How the emulator speaks to clients.
#[derive(Clone, Debug, Default)]
pub enum Tls {
    /// Certificate and key from PEM files.
    Files {
        /// Certificate chain, the server's own first.
        cert: PathBuf,
        /// Private key.
        key: PathBuf,
    },
    /// Plain HTTP.
    #[default]
    Off,
    /// A fresh authority and a certificate for `names`, `localhost`, `127.0.0.1` and `::1`.
    SelfSigned {
        /// Further DNS names or addresses.
        names: Vec<String>,
    },
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate could not be made.
    #[error("certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A file could not be read.
    #[error("file cannot be read: {path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no PEM of the wanted kind.
    #[error("file holds no PEM of this kind: {path}: {source}", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not go together, or cannot be used.
    #[error("certificate cannot be used: {0}")]
    Use(#[from] rustls::Error),
}

/// The authority, and the certificate shown when all is well.
pub(crate) struct Certificates {
    authority: Issuer<'static, KeyPair>,
    pub(crate) ca_pem: String,
    good: TlsAcceptor,
    names: Vec<String>,
}

impl Certificates {
    /// What `tls` asks for; nothing when it is off.
    pub(crate) fn new(tls: &Tls) -> Result<Option<Self>, TlsError> {
        let (authority, ca_pem) = authority("phase-emulator authority")?;
        Ok(Some(match tls {
            Tls::Off => return Ok(None),
            Tls::SelfSigned { names } => {
                let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
                let names: Vec<String> = own.into_iter().chain(names.iter().cloned()).collect();
                let good = signed(&authority, &CertificateParams::new(names.clone())?)?;
                Self {
                    authority,
                    ca_pem,
                    good,
                    names,
                }
            }
            Tls::Files { cert, key } => {
                let (good, ca_pem) = from_files(cert, key)?;
                Self {
                    authority,
                    ca_pem,
                    good,
                    names: vec!["localhost".to_owned()],
                }
            }
        }))
    }

    /// The handshake that shows the right certificate.
    pub(crate) fn good(&self) -> TlsAcceptor {
        self.good.clone()
    }

    /// A handshake that shows a bad certificate, made for the occasion.
    pub(crate) fn bad(&self, kind: BadCertificate) -> Result<TlsAcceptor, TlsError> {
        let mut params = CertificateParams::new(self.names.clone())?;
        match kind {
            BadCertificate::Expired => {
                (params.not_before, params.not_after) =
                    (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
                signed(&self.authority, &params)
            }
            BadCertificate::NoNames => nameless(),
            BadCertificate::Untrusted => signed(&authority("somebody else")?.0, &params),
            BadCertificate::WrongName => {
                let other = CertificateParams::new(vec!["other.example.test".to_owned()])?;
                signed(&self.authority, &other)
            }
        }
    }
}

fn authority(name: &str) -> Result<(Issuer<'static, KeyPair>, String), TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), pem))
}

fn signed(
    authority: &Issuer<'static, KeyPair>,
    params: &CertificateParams,
) -> Result<TlsAcceptor, TlsError> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    acceptor(vec![certificate.der().clone()], pkcs8(&key))
}

/// As the stock self-hosted proxy makes it: P-384, the common name only, and an authority at that.
fn nameless() -> Result<TlsAcceptor, TlsError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?;
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "example.com");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    acceptor(vec![params.self_signed(&key)?.der().clone()], pkcs8(&key))
}

fn from_files(cert: &PathBuf, key: &PathBuf) -> Result<(TlsAcceptor, String), TlsError> {
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|source| TlsError::File {
            path: path.clone(),
            source,
        })
    };
    let pem = |path: &PathBuf| {
        let path = path.clone();
        |source| TlsError::Pem { path, source }
    };
    let text = read(cert)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(pem(cert))?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(pem(key))?;
    Ok((
        acceptor(chain, private)?,
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

fn pkcs8(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
