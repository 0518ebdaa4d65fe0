//! What the layer adds to a request whose session is cached, beside what the machine's SHA-256 of
//! the token and a bare moka lookup cost.
//!
//! `cargo bench --bench layer`; compare lines of one run only.
#![allow(clippy::unwrap_used)]

use std::{convert::Infallible, future::Ready, hint::black_box, task::Poll};

use clerk_gateway::{Clerk, SessionLayer, sandbox::Sandbox, verify::VerifyMode};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::{Request, Response, header::AUTHORIZATION};
use tower::{Layer, Service};

/// An inner service that does nothing.
#[derive(Clone)]
struct Nothing;

impl Service<Request<()>> for Nothing {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(request);
        std::future::ready(Ok(Response::new(())))
    }
}

fn request(token: &str) -> Request<()> {
    Request::builder()
        .uri("/")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .unwrap()
}

fn clerk(sandbox: &Sandbox) -> Clerk {
    Clerk::builder()
        .publishable_key(sandbox.publishable_key())
        .secret_key(sandbox.secret_key())
        .api_url(sandbox.url())
        .build()
        .unwrap()
}

fn layer_hit(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let sandbox = runtime.block_on(Sandbox::builder().start()).unwrap();
    let token = sandbox.session_token().to_owned();
    let mut group = criterion.benchmark_group("layer");

    group.bench_function("no layer", |bencher| {
        bencher.iter_batched(
            || request(&token),
            |request| Nothing.call(request).now_or_never().unwrap(),
            criterion::BatchSize::SmallInput,
        );
    });
    let builder = || SessionLayer::builder(clerk(&sandbox));
    let layers = [
        ("networkless", builder().verify(VerifyMode::Networkless)),
        ("sessions-api", builder()),
        ("template token", builder().template_token("hasura")),
    ];
    for (name, builder) in layers {
        let mut service = builder.build().unwrap().layer(Nothing);
        let first = service.call(request(&token));
        assert!(runtime.block_on(first).unwrap().status().is_success());
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || request(&token),
                |request| {
                    let response = service.call(request);
                    response
                        .now_or_never()
                        .unwrap_or_else(|| panic!("{name} had to wait"))
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn the_machine(criterion: &mut Criterion) {
    let token = "a".repeat(1012);
    let mut group = criterion.benchmark_group("machine");
    group.bench_function("SHA-256 of a token of 1,012 bytes", |bencher| {
        bencher.iter(|| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()));
    });
    let cache = moka::sync::Cache::new(100_000);
    for key in 0..10_000_u64 {
        cache.insert(key, std::sync::Arc::new(key));
    }
    group.bench_function("moka get among 10,000", |bencher| {
        bencher.iter(|| cache.get(black_box(&77)));
    });
    group.finish();
}

criterion_group!(benches, layer_hit, the_machine);
criterion_main!(benches);
