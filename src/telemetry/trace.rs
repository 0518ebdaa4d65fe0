//! A span for each request, exported by OTLP; without the feature `otel`, or where nobody has named a receiver, it is
//! nothing.

#[cfg(feature = "otel")]
pub(crate) use exported::{RequestSpan, init, shut_down};
#[cfg(not(feature = "otel"))]
pub(crate) use nothing::{RequestSpan, init, shut_down};

/// The standard variables that name the receiver.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// What a span tells of its request: what the access log tells.
#[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "nobody is told"))]
pub(crate) struct SpanEnd<'a> {
    pub(crate) method: &'a str,
    pub(crate) route: Option<&'a str>,
    pub(crate) status: u16,
    pub(crate) reason: Option<&'static str>,
    pub(crate) request_id: &'a str,
}

fn is_wanted() -> bool {
    let is_set = |name: &&str| std::env::var(*name).is_ok_and(|value| !value.trim().is_empty());
    ENDPOINTS.iter().any(is_set)
}

#[cfg(not(feature = "otel"))]
mod nothing {
    use http::HeaderMap;

    use super::SpanEnd;

    /// No span.
    pub(crate) struct RequestSpan;

    /// Traces were asked for and cannot be had.
    #[derive(Debug, thiserror::Error)]
    #[error(
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this program was built without the feature `otel`; unset it, or build with --features otel"
    )]
    pub(crate) struct TracesError;

    pub(crate) fn init() -> Result<(), TracesError> {
        match super::is_wanted() {
            true => Err(TracesError),
            false => Ok(()),
        }
    }

    pub(crate) fn shut_down() {}

    impl RequestSpan {
        pub(crate) fn begin(_headers: &mut HeaderMap) -> Self {
            Self
        }

        pub(crate) fn end(self, _end: &SpanEnd<'_>) {}
    }
}

#[cfg(feature = "otel")]
mod exported {
    use std::sync::OnceLock;

    use http::{HeaderMap, HeaderName, HeaderValue};
    use opentelemetry::{
        Context, KeyValue,
        propagation::{Extractor, Injector, TextMapPropagator},
        trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
    };
    use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
    use opentelemetry_sdk::{
        Resource,
        propagation::TraceContextPropagator,
        trace::{SdkTracer, SdkTracerProvider},
    };

    use super::SpanEnd;

    static PROVIDER: OnceLock<(SdkTracerProvider, SdkTracer)> = OnceLock::new();

    /// Why traces cannot be exported.
    #[derive(Debug, thiserror::Error)]
    #[error("traces cannot be exported: {0}; see OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub(crate) struct TracesError(#[from] ExporterBuildError);

    /// Begins to export where a receiver is named; the SDK reads all of OpenTelemetry's own variables.
    ///
    /// # Errors
    ///
    /// [`TracesError`] where the receiver's address is none.
    pub(crate) fn init() -> Result<(), TracesError> {
        if !super::is_wanted() {
            return Ok(());
        }
        let exporter = SpanExporter::builder().with_http().build()?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("clerk-gateway");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("clerk-gateway");
        let _ = PROVIDER.set((provider, tracer));
        Ok(())
    }

    /// Sends what has not been sent.
    pub(crate) fn shut_down() {
        if let Some((provider, _)) = PROVIDER.get() {
            let _ = provider.shutdown();
        }
    }

    /// A request's span; `None` where nobody is told.
    pub(crate) struct RequestSpan(Option<Context>);

    impl RequestSpan {
        /// Begins a span in the trace that the request names, or in a new one, and names it to the upstream.
        pub(crate) fn begin(headers: &mut HeaderMap) -> Self {
            let Some((_, tracer)) = PROVIDER.get() else {
                return Self(None);
            };
            let propagator = TraceContextPropagator::new();
            let parent = propagator.extract_with_context(&Context::new(), &Incoming(headers));
            let span = tracer
                .span_builder("request")
                .with_kind(SpanKind::Server)
                .start_with_context(tracer, &parent);
            let context = parent.with_span(span);
            propagator.inject_context(&context, &mut Outgoing(headers));
            Self(Some(context))
        }

        /// Ends it with what came of the request.
        pub(crate) fn end(self, end: &SpanEnd<'_>) {
            let Some(context) = self.0 else {
                return;
            };
            let span = context.span();
            let route = end.route.unwrap_or("none");
            span.update_name(format!("{} {route}", end.method));
            let text = |name: &'static str, value: &str| KeyValue::new(name, value.to_owned());
            span.set_attribute(text("http.request.method", end.method));
            span.set_attribute(text("http.route", route));
            span.set_attribute(KeyValue::new(
                "http.response.status_code",
                i64::from(end.status),
            ));
            span.set_attribute(text("request.id", end.request_id));
            if let Some(reason) = end.reason {
                span.set_attribute(text("clerk.reason", reason));
            }
            if end.status >= 500 {
                span.set_status(Status::error(end.reason.unwrap_or("upstream")));
            }
            span.end();
        }
    }

    struct Incoming<'a>(&'a HeaderMap);

    impl Extractor for Incoming<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(HeaderName::as_str).collect()
        }
    }

    struct Outgoing<'a>(&'a mut HeaderMap);

    impl Injector for Outgoing<'_> {
        fn set(&mut self, key: &str, value: String) {
            let name = HeaderName::from_bytes(key.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
                self.0.insert(name, value);
            }
        }
    }

    impl std::fmt::Debug for RequestSpan {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("RequestSpan")
        }
    }
}
