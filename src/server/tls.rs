//! TLS on the public listener: certificates by server name, replaced while connections run.

use std::{collections::HashMap, fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{io, net::TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use webpki::EndEntityCert;

use super::validity::Validity;
use crate::telemetry::certificates;

/// A certificate chain and its key, as PEM.
#[derive(Clone, Debug)]
pub(crate) struct CertificatePem {
    /// The file that holds the chain, as people and metrics call it.
    pub(crate) file: String,
    pub(crate) chain: String,
    pub(crate) key: SecretString,
}

/// The certificates of clients.
#[derive(Clone, Debug)]
pub(crate) struct ClientCertificates {
    /// PEM of those who may have signed them.
    pub(crate) authorities: String,
    pub(crate) presence: Presence,
}

/// Whether something must be there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Presence {
    Optional,
    Required,
}

/// What a TLS listener needs.
#[derive(Clone, Debug)]
pub(crate) struct TlsIdentity {
    /// The first is for clients that name none of the others' names; never empty.
    pub(crate) certificates: Vec<CertificatePem>,
    pub(crate) clients: Option<ClientCertificates>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TlsError {
    /// A certificate file holds no certificate.
    #[error("certificate {0}: no PEM certificate can be read: {1}")]
    Certificate(usize, String),
    /// A file of authorities holds none that can be used.
    #[error("client_ca: {0}")]
    ClientAuthorities(String),
    /// A key file holds no private key that fits.
    #[error("key {0}: {1}")]
    Key(usize, String),
    /// There is no certificate.
    #[error("there is no certificate")]
    None,
    /// The TLS library refuses.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// The listener's side of TLS; a replacement holds from the next connection on.
pub(crate) struct Tls(ArcSwap<Served>);

struct Served {
    config: Arc<ServerConfig>,
    certificates: Vec<ServedCertificate>,
}

/// A certificate that the listener shows to clients.
#[derive(Clone, Debug)]
pub(crate) struct ServedCertificate {
    /// The file that it was read from.
    pub(crate) file: String,
    pub(crate) validity: Validity,
}

impl Tls {
    /// Reads the certificates.
    ///
    /// # Errors
    ///
    /// [`TlsError`] naming the certificate by its place.
    pub(crate) fn new(identity: &TlsIdentity) -> Result<Self, TlsError> {
        Ok(Self(ArcSwap::from_pointee(Served::new(identity)?)))
    }

    /// Replaces the certificates; connections that are open keep theirs.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; the old certificates stay.
    pub(crate) fn replace(&self, identity: &TlsIdentity) -> Result<(), TlsError> {
        let before = self.0.swap(Arc::new(Served::new(identity)?));
        for certificate in &before.certificates {
            certificates::gone(&certificate.file);
        }
        self.show_expiries();
        Ok(())
    }

    /// Returns the certificates, in the configuration's order.
    pub(crate) fn certificates(&self) -> Vec<ServedCertificate> {
        self.0.load().certificates.clone()
    }

    /// Shows in the metrics when each certificate expires.
    pub(crate) fn show_expiries(&self) {
        for certificate in &self.0.load().certificates {
            certificates::expires(&certificate.file, certificate.validity.until);
        }
    }

    /// Performs the handshake; the caller bounds its time.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.0.load().config);
        TlsAcceptor::from(config).accept(stream).await
    }
}

impl Served {
    fn new(identity: &TlsIdentity) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (certificates, served) = Certificates::read(&identity.certificates, &provider)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match &identity.clients {
            Some(clients) => builder.with_client_cert_verifier(verifier(clients, provider)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            certificates: served,
        })
    }
}

fn verifier(
    clients: &ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let refused = |error: &dyn fmt::Display| TlsError::ClientAuthorities(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(clients.authorities.as_bytes()) {
        let certificate = certificate.map_err(|error| refused(&error))?;
        roots.add(certificate).map_err(|error| refused(&error))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if clients.presence == Presence::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| refused(&error))
}

/// The certificates by the names that they are for.
#[derive(Debug)]
struct Certificates {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    fallback: Arc<CertifiedKey>,
}

impl Certificates {
    fn read(
        pems: &[CertificatePem],
        provider: &CryptoProvider,
    ) -> Result<(Self, Vec<ServedCertificate>), TlsError> {
        let mut by_name = HashMap::new();
        let mut fallback = None;
        let mut served = Vec::new();
        for (index, pem) in pems.iter().enumerate() {
            let key = Arc::new(certified(index, pem, provider)?);
            let unreadable = |error: webpki::Error| TlsError::Certificate(index, error.to_string());
            let end_entity = key.end_entity_cert()?;
            let parsed = EndEntityCert::try_from(end_entity).map_err(unreadable)?;
            for name in parsed.valid_dns_names() {
                let entry = by_name.entry(name.to_ascii_lowercase());
                entry.or_insert_with(|| Arc::clone(&key));
            }
            served.push(ServedCertificate {
                file: pem.file.clone(),
                validity: Validity::of(&parsed).map_err(unreadable)?,
            });
            fallback.get_or_insert(key);
        }
        let fallback = fallback.ok_or(TlsError::None)?;
        Ok((Self { by_name, fallback }, served))
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.by_name.get(&name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        Some(Arc::clone(named.unwrap_or(&self.fallback)))
    }
}

fn certified(
    index: usize,
    pem: &CertificatePem,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let unreadable = |error: String| TlsError::Certificate(index, error);
    let chain = CertificateDer::pem_slice_iter(pem.chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| unreadable(error.to_string()))?;
    if chain.is_empty() {
        return Err(unreadable("the file holds none".to_owned()));
    }
    // The parser's own words may repeat bytes of the key.
    let key = PrivateKeyDer::from_pem_slice(pem.key.expose_secret().as_bytes())
        .map_err(|_| TlsError::Key(index, "no PEM private key can be read".to_owned()))?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| TlsError::Key(index, error.to_string()))
}
