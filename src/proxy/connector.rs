//! How upstreams are connected to: TCP, TLS or a unix socket.

use std::{
    future::poll_fn,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{
    ConfigBuilderExt, FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder,
    MaybeHttpsStream,
};
use hyper_util::{
    client::legacy::connect::{Connection, HttpConnector},
    rt::TokioIo,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tower_service::Service;

use super::BoxError;
use crate::gather::{SMALL, gather};

/// The HTTP versions that an upstream is spoken to in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// What ALPN settles; HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/2 by prior knowledge, without TLS.
    H2c,
    /// HTTP/1.1.
    Http1,
}

/// How an upstream proves itself over TLS, and the gateway to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamTls {
    /// PEM of the authorities that count, instead of the public ones.
    pub(crate) authorities: Option<String>,
    /// The name that is asked for and must be certified, instead of the URL's host.
    pub(crate) server_name: Option<String>,
    /// The gateway's own certificate chain and key, as PEM.
    pub(crate) identity: Option<(String, SecretString)>,
}

/// Why an upstream's TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum UpstreamTlsError {
    /// The authorities' PEM holds no certificate that can be used.
    #[error("ca_file holds no certificate that can be used")]
    Authorities,
    /// The gateway's certificate or key cannot be used.
    #[error("the client certificate and key cannot be used: {0}")]
    Identity(String),
    /// The name is none.
    #[error("server_name is not a host name")]
    ServerName,
    /// The TLS library refuses.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Opens connections to one upstream's origins.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector>,
    /// By the number that their URI's host begins with.
    sockets: Arc<[PathBuf]>,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(
        tls: &UpstreamTls,
        protocol: Protocol,
        sockets: Arc<[PathBuf]>,
        limit: Duration,
    ) -> Result<Self, UpstreamTlsError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(client_config(tls)?)
            .https_or_http();
        let builder = match &tls.server_name {
            None => builder,
            Some(name) => {
                let name = ServerName::try_from(name.clone());
                let name = name.map_err(|_| UpstreamTlsError::ServerName)?;
                builder.with_server_name_resolver(FixedServerNameResolver::new(name))
            }
        };
        let https = match protocol {
            Protocol::Auto => builder.enable_all_versions().wrap_connector(tcp),
            Protocol::H2 | Protocol::H2c => builder.enable_http2().wrap_connector(tcp),
            Protocol::Http1 => builder.enable_http1().wrap_connector(tcp),
        };
        Ok(Self {
            https,
            sockets,
            limit,
        })
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// Why there is none, or that it took too long.
    pub(super) async fn connect(&self, uri: &Uri) -> Result<Io, BoxError> {
        if let Some(path) = self.socket(uri) {
            let stream = timeout(self.limit, UnixStream::connect(path)).await??;
            return Ok(Io::Unix(TokioIo::new(stream)));
        }
        // TLS included: a listener that accepts and says nothing would hold the request otherwise.
        let mut https = self.https.clone();
        let connecting = async {
            poll_fn(|cx| https.poll_ready(cx)).await?;
            https.call(uri.clone()).await
        };
        let stream = timeout(self.limit, connecting).await??;
        Ok(Io::Network(Box::new(stream)))
    }

    fn socket(&self, uri: &Uri) -> Option<&Path> {
        let number = uri.host()?.strip_suffix(SOCKET_HOST)?.parse::<usize>();
        self.sockets.get(number.ok()?).map(PathBuf::as_path)
    }
}

/// The host of URIs that stand for unix sockets; `.invalid` is nobody's (RFC 6761 §6.4).
pub(super) const SOCKET_HOST: &str = ".socket.invalid";

fn client_config(tls: &UpstreamTls) -> Result<ClientConfig, UpstreamTlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match &tls.authorities {
        None => builder.with_webpki_roots(),
        Some(pem) => builder.with_root_certificates(authorities(pem)?),
    };
    let Some((chain, key)) = &tls.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let unusable = |what: &str| UpstreamTlsError::Identity(what.to_owned());
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| unusable("no PEM certificate can be read"))?;
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
        .map_err(|_| unusable("no PEM private key can be read"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| unusable(&error.to_string()))
}

fn authorities(pem: &str) -> Result<RootCertStore, UpstreamTlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let added = certificate.ok().map(|certificate| roots.add(certificate));
        if !matches!(added, Some(Ok(()))) {
            return Err(UpstreamTlsError::Authorities);
        }
    }
    if roots.is_empty() {
        return Err(UpstreamTlsError::Authorities);
    }
    Ok(roots)
}

/// A connection to an upstream.
pub(super) enum Io {
    Network(Box<MaybeHttpsStream<TokioIo<TcpStream>>>),
    Unix(TokioIo<UnixStream>),
}

impl Io {
    /// Tells whether ALPN has settled on HTTP/2.
    pub(super) fn is_h2(&self) -> bool {
        match self {
            Self::Network(stream) => stream.connected().is_negotiated_h2(),
            Self::Unix(_) => false,
        }
    }
}

impl Read for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl Write for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Network(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(bytes) = gather(slices, &mut [0; SMALL]) {
            return self.poll_write(cx, bytes);
        }
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }
}
