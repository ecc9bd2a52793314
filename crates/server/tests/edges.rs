//! Which crate may depend on which (docs/adr/0003, ARCHITECTURE.md): a wrong arrow fails here.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Crate → the crates of ours that it may use.
const EDGES: [(&str, &[&str]); 15] = [
    ("media", &[]),
    ("hls", &[]),
    ("sandbox", &[]),
    ("srt-wire", &[]),
    ("srt", &["sandbox", "srt-wire"]),
    ("rtmp", &["media"]),
    ("psrpc", &[]),
    ("rtc", &["media"]),
    ("pass", &["media"]),
    ("session", &["media"]),
    ("pipeline", &["media"]),
    ("worker", &["media", "pipeline", "sandbox"]),
    ("livekit", &["media", "psrpc", "rtc"]),
    ("intake", &["hls", "media", "rtc", "rtmp", "srt-wire"]),
    ("server", &["intake", "livekit", "media", "pass", "pipeline", "psrpc", "session"]),
];

/// Crate → what must not be in it, as the start of a dependency's name.
const ABSENT: [(&str, &[&str]); 13] = [
    ("media", &["tokio", "gstreamer", "str0m", "futures", "async"]),
    ("hls", &["tokio", "gstreamer", "futures", "async", "hyper", "reqwest", "socket2"]),
    ("rtmp", &["tokio", "gstreamer", "str0m", "socket2"]),
    ("psrpc", &["livekit", "gstreamer", "str0m"]),
    ("rtc", &["tokio", "gstreamer", "livekit"]),
    ("session", &["tokio", "gstreamer", "str0m", "prost", "livekit"]),
    ("pass", &["tokio", "gstreamer", "str0m", "prost", "livekit", "socket2", "rtmp"]),
    ("pipeline", &["gstreamer", "livekit", "str0m"]),
    ("sandbox", &["tokio", "gstreamer"]),
    ("srt-wire", &["tokio", "libc", "pkg-config"]),
    ("srt", &["tokio", "gstreamer", "serde"]),
    ("worker", &["livekit", "redis", "str0m", "axum", "reqwest", "hyper"]),
    ("intake", &["gstreamer", "redis", "livekit"]),
];

/// Crates with unsafe code, none of which the server links: system calls, libsrt, GStreamer.
const UNSAFE: [&str; 3] = ["sandbox", "srt", "worker"];

fn workspace() -> (Metadata, BTreeMap<String, Package>) {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata runs in the workspace");
    let packages = metadata.workspace_packages().into_iter().cloned();
    let packages = packages.map(|package| (role(&package.name), package)).collect();
    (metadata, packages)
}

fn role(name: &str) -> String {
    name.strip_prefix("sluicegate-").unwrap_or(name).to_owned()
}

fn uses(package: &Package) -> BTreeSet<String> {
    let normal = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
    normal.map(|d| d.name.clone()).collect()
}

#[test]
fn every_crate_is_in_the_table_and_uses_only_what_the_table_allows() {
    let (_, packages) = workspace();
    let known: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    assert_eq!(packages.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
    for (name, allowed) in EDGES {
        for used in uses(&packages[name]) {
            if let Some(ours) = used.strip_prefix("sluicegate-") {
                assert!(
                    allowed.contains(&ours),
                    "{name} must not depend on {ours}: ARCHITECTURE.md says why"
                );
            }
        }
    }
}

#[test]
fn what_a_crate_must_not_contain_is_absent() {
    let (_, packages) = workspace();
    for (name, absent) in ABSENT {
        for used in uses(&packages[name]) {
            let wrong = absent.iter().find(|start| used.starts_with(**start));
            assert_eq!(wrong, None, "{name} must not depend on {used}");
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_everywhere_but_beside_the_server() {
    let (_, packages) = workspace();
    for (name, package) in packages {
        for target in package.targets.iter().filter(|t| t.is_lib() || t.is_bin()) {
            let text = std::fs::read_to_string(&target.src_path).expect("a target's root can be read");
            let forbids = text.contains("#![forbid(unsafe_code)]");
            assert_eq!(forbids, !UNSAFE.contains(&name.as_str()), "{}", target.src_path);
        }
    }
}
