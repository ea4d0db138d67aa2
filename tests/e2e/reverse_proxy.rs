//! The pages behind Debian's nginx, which keeps the path of the external URL or strips it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};
use url::Url;

use crate::support::{ExporterProcess, Reply, SID, SimulatedApi, ask_socket, wait_until_some};

const HOST: &str = "sessions.example";
const PAGE: &str = "https://sessions.example/tradernet/";

/// nginx in this folder: for each name and upstream a socket `<name>.sock`.
async fn nginx(folder: &Path, upstreams: &[(&str, String)]) -> Child {
    let path = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("  {name}_temp_path {path}/temporary;\n"));
    let servers = upstreams.iter().map(|(name, upstream)| {
        format!(
            "  server {{
                listen unix:{path}/{name}.sock;
                location /tradernet/ {{
                  proxy_pass {upstream};
                  proxy_set_header Host $host;
                }}
              }}\n"
        )
    });
    let configuration = format!(
        "daemon off;\nmaster_process off;\npid {path}/pid;\nevents {{}}\nhttp {{\n  access_log off;\n{}{}}}\n",
        temporary.concat(),
        servers.collect::<String>()
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration).unwrap();
    let child = Command::new("nginx")
        .arg("-c")
        .arg(&file)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("nginx cannot be started: {error}"));
    for (name, _) in upstreams {
        let socket = folder.join(format!("{name}.sock"));
        let asked = async || ask_socket(&socket, HOST, "GET", "/", &[]).await.ok();
        wait_until_some("nginx is ready", asked).await;
    }
    child
}

/// Where the links and the form of a page lead, except for other sites.
fn links(page: &Reply, base: &Url) -> Vec<Url> {
    let parts = page.text().split(" href=\"").skip(1);
    let links = parts.map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&"));
    let links = links.map(|link| base.join(&link).unwrap());
    links.filter(|link| link.host() == base.host()).collect()
}

#[tokio::test]
async fn pages_work_behind_a_proxy_that_keeps_or_strips_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let unix = folder.path().join("exporter.sock");
    let addresses = format!("127.0.0.1:0,unix:{}", unix.display());
    let upstream = SimulatedApi::start().await;
    let variables = [
        ("TRADERNET_SID", SID),
        ("WEB_LISTEN_ADDRESS", &addresses),
        ("WEB_EXTERNAL_URL", PAGE),
    ];
    let exporter = ExporterProcess::start(&upstream.variables(&variables)).await;
    exporter.first_attempt().await;
    let address = exporter.address;
    let upstreams = [
        ("kept", format!("http://{address}")),
        ("stripped", format!("http://{address}/")),
        ("kept_to_socket", format!("http://unix:{}", unix.display())),
        (
            "stripped_to_socket",
            format!("http://unix:{}:/", unix.display()),
        ),
    ];
    let _nginx = nginx(folder.path(), &upstreams).await;

    let base = Url::parse(PAGE).unwrap();
    for (name, _) in &upstreams {
        let socket = folder.path().join(format!("{name}.sock"));
        let ask = async |method: &str, link: &Url, headers: &[(&str, &str)]| {
            let path = &link[url::Position::BeforePath..url::Position::AfterQuery];
            let reply = ask_socket(&socket, HOST, method, path, headers).await;
            reply.unwrap()
        };
        let page = ask("GET", &base, &[]).await;
        assert_eq!(page.status, 200, "{name}");
        let links = links(&page, &base);
        for path in ["", "metrics", "api/v1/accounts", "-/ready"] {
            assert!(
                links
                    .iter()
                    .any(|link| link.path() == format!("/tradernet/{path}")),
                "{name}: {path}"
            );
        }
        for link in &links {
            assert_eq!(ask("GET", link, &[]).await.status, 200, "{name}: {link}");
        }
        // The button of the page: the browser names the page's origin.
        let retry = base.join("./-/reload?account=default").unwrap();
        for (origin, status) in [
            ("https://sessions.example", 200),
            ("https://evil.example", 403),
        ] {
            let reply = ask("POST", &retry, &[("origin", origin)]).await;
            assert_eq!(reply.status, status, "{name}: {origin}");
        }
    }
}
