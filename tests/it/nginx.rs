//! nginx as the upstream: each way in which it frames an answer.

use std::{fmt::Write, net::SocketAddr, path::Path};

use crate::support::{
    process::{Running, folder, free_address},
    programs::{curl, program, text},
    scene::{Scene, Setting},
    upstream::Upstream,
};

/// The gateway in front of an nginx that serves files.
struct Site {
    scene: Scene,
    page: String,
    _nginx: Running,
}

impl Site {
    async fn start() -> Self {
        Self::speaking("", "http1").await
    }

    /// One whose nginx listens in a way of its own, for the protocol that the gateway is told.
    async fn speaking(listens: &str, protocol: &str) -> Self {
        let (address, folder) = (free_address(), folder());
        let page = (0..20_000).fold(String::new(), |mut page, line| {
            writeln!(page, "line {line}").unwrap();
            page
        });
        for part in ["chunked", "closed"] {
            let part = folder.join("public").join(part);
            std::fs::create_dir_all(&part).unwrap();
            std::fs::write(part.join("page.txt"), &page).unwrap();
        }
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration(address, listens, &folder)).unwrap();
        let mut nginx = program("nginx");
        nginx.args(["-e", "stderr", "-c", text(&file)]);
        let nginx = Running::start(nginx, address);
        let setting = Setting {
            upstream: &format!("url = \"http://{address}\"\nprotocol = \"{protocol}\""),
            ..Setting::default()
        };
        Self {
            scene: Scene::set(Upstream::start(), setting).await,
            page,
            _nginx: nginx,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/public/{path}", self.scene.address)
    }

    /// What curl prints: the heads in lower case, then what `written` asks for.
    fn heads(&self, path: &str, arguments: &[&str], written: &str) -> String {
        let url = self.url(path);
        let fixed = ["-D", "-", "-o", "/dev/null", "-w", written, &url];
        let (good, said) = curl(&[arguments, &fixed].concat());
        assert!(good, "{said}\n{}", self.scene.gateway.stderr());
        said.to_lowercase()
    }
}

fn configuration(address: SocketAddr, listens: &str, folder: &Path) -> String {
    let folder = folder.display();
    let kept: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {folder}/{what};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{kept}default_type text/plain;\nroot {folder};\n\
         gzip on;\ngzip_vary on;\ngzip_proxied any;\ngzip_types text/plain;\nkeepalive_requests 2;\n\
         server {{\nlisten {address} {listens};\n\
         location = /public/none {{ return 204; }}\n\
         location = /public/host {{ return 200 \"$http_host $server_protocol\"; }}\n\
         location = /public/upload {{ client_max_body_size 1k; proxy_pass http://{address}/none; }}\n\
         location /public/closed/ {{ chunked_transfer_encoding off; }}\n}}\n}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx; tests/run installs it"]
async fn a_page_comes_whole_whichever_way_nginx_ends_it() {
    let site = Site::start().await;
    // Of known length, in chunks, and ended by the connection's end: nginx compresses the last two.
    for (path, arguments, framing) in [
        ("chunked/page.txt", &[][..], "content-length: "),
        (
            "chunked/page.txt",
            &["--compressed"],
            "transfer-encoding: chunked",
        ),
        (
            "closed/page.txt",
            &["--compressed"],
            "transfer-encoding: chunked",
        ),
    ] {
        let url = site.url(path);
        let (good, body) = curl(&[arguments, &[&url]].concat());
        assert!(good && body == site.page, "{path}: {} bytes", body.len());
        let heads = site.heads(path, arguments, "");
        for line in [framing, "vary: accept-encoding", "etag: "] {
            assert!(heads.contains(line), "{line} not in {heads}");
        }
        assert!(!heads.contains("connection: close"), "{heads}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx; tests/run installs it"]
async fn the_clients_connection_outlives_those_that_nginx_ends() {
    let site = Site::start().await;
    let url = site.url("closed/page.txt");
    let none = site.url("none");
    let mut arguments = vec!["--compressed", "-w", "%{http_code} %{num_connects}\n"];
    for url in [&url, &none, &url, &url, &none, &none] {
        arguments.extend(["-o", "/dev/null", url]);
    }
    let (good, said) = curl(&arguments);
    assert!(good, "{said}");
    assert_eq!(said, "200 1\n204 0\n200 0\n200 0\n204 0\n204 0\n");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx; tests/run installs it"]
async fn answers_without_a_body_keep_what_nginx_says_of_it() {
    let site = Site::start().await;
    let path = "chunked/page.txt";
    let length = format!("content-length: {}\r\n", site.page.len());
    let head = site.heads(path, &["--head"], "%{size_download}");
    assert!(head.contains(&length) && head.ends_with("\n0"), "{head}");
    let etag = head.split_once("etag: ").unwrap().1;
    let etag = format!("If-None-Match: {}", etag.lines().next().unwrap());
    let unchanged = site.heads(path, &["-H", &etag], "%{http_code} %{size_download}");
    assert!(unchanged.ends_with("304 0"), "{unchanged}");
    let part = site.heads(path, &["-r", "5-14"], "%{http_code} %{size_download}");
    assert!(part.ends_with("206 10"), "{part}");
    let none = site.heads("none", &[], "%{http_code} %{size_download}");
    assert!(none.ends_with("204 0"), "{none}");
    assert!(!none.contains("transfer-encoding"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx; tests/run installs it"]
async fn an_answer_that_nginx_gives_before_an_upload_has_ended_is_passed_on() {
    let site = Site::start().await;
    let file = folder().join("upload");
    std::fs::write(&file, vec![b'a'; 4 << 20]).unwrap();
    let (good, said) = curl(&["-H", "Expect:", "-T", text(&file), &site.url("upload")]);
    assert!(
        good && said.contains("nginx") && said.contains("413"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx; tests/run installs it"]
async fn over_http2_the_authority_is_said_once_and_a_connection_that_nginx_ends_costs_no_request() {
    let site = Site::speaking("http2", "h2c").await;
    let (url, upload) = (&site.url("host"), "x".repeat(1_000));
    let ways: [&[&str]; 3] = [&["-d", &upload], &["-X", "POST"], &[]];
    // nginx ends each connection after two requests, and takes none of those that are on their way then.
    std::thread::scope(|scope| {
        for arguments in ways {
            scope.spawn(move || {
                for request in 0..30 {
                    let fixed = ["-w", " %{http_code}", url];
                    let (good, said) = curl(&[arguments, &fixed].concat());
                    let is_answered = good && said.ends_with(" HTTP/2.0 200");
                    assert!(is_answered, "{arguments:?} {request}: {said}");
                }
            });
        }
    });
}
