use std::collections::HashMap;

use super::*;
use crate::http::tests::Page;

fn metrics() -> (Metrics, Health) {
    let health = Health::new();
    (Metrics::new("NE_test", health.clone()), health)
}

/// The lines of the metrics whose names start so, without `# HELP`.
fn lines(text: &str, prefix: &str) -> Vec<String> {
    let of_metric = |line: &&str| line.trim_start_matches("# TYPE ").starts_with(prefix);
    text.lines().filter(of_metric).map(str::to_owned).collect()
}

#[test]
fn the_go_workers_metrics_have_their_names_types_and_labels() {
    let (metrics, health) = metrics();
    metrics.set_cpu_load(0.25);
    let running = metrics.session(Input::Rtmp, true);
    let _other = metrics.session(Input::Rtmp, true);
    drop(running);
    metrics.published(Input::Rtmp, Publication::Success);
    metrics.published(Input::Rtmp, Publication::Success);
    metrics.packet_latency(media::Kind::Video, Input::Rtmp, Duration::from_millis(30));
    metrics.packet_latency(media::Kind::Video, Input::Rtmp, Duration::from_secs(30));
    let expected = r#"# TYPE livekit_ingress_packet_latency_seconds histogram
livekit_ingress_packet_latency_seconds_sum{track="output.video",ingress_type="RTMP_INPUT"} 30.03
livekit_ingress_packet_latency_seconds_count{track="output.video",ingress_type="RTMP_INPUT"} 2
livekit_ingress_packet_latency_seconds_bucket{le="0.005",track="output.video",ingress_type="RTMP_INPUT"} 0
livekit_ingress_packet_latency_seconds_bucket{le="0.01",track="output.video",ingress_type="RTMP_INPUT"} 0
livekit_ingress_packet_latency_seconds_bucket{le="0.02",track="output.video",ingress_type="RTMP_INPUT"} 0
livekit_ingress_packet_latency_seconds_bucket{le="0.04",track="output.video",ingress_type="RTMP_INPUT"} 1
livekit_ingress_packet_latency_seconds_bucket{le="0.08",track="output.video",ingress_type="RTMP_INPUT"} 1
livekit_ingress_packet_latency_seconds_bucket{le="0.16",track="output.video",ingress_type="RTMP_INPUT"} 1
livekit_ingress_packet_latency_seconds_bucket{le="0.32",track="output.video",ingress_type="RTMP_INPUT"} 1
livekit_ingress_packet_latency_seconds_bucket{le="0.64",track="output.video",ingress_type="RTMP_INPUT"} 1
livekit_ingress_packet_latency_seconds_bucket{le="1.28",track="output.video",ingress_type="RTMP_INPUT"} 1
livekit_ingress_packet_latency_seconds_bucket{le="2.56",track="output.video",ingress_type="RTMP_INPUT"} 1
livekit_ingress_packet_latency_seconds_bucket{le="5.12",track="output.video",ingress_type="RTMP_INPUT"} 1
livekit_ingress_packet_latency_seconds_bucket{le="10.24",track="output.video",ingress_type="RTMP_INPUT"} 1
livekit_ingress_packet_latency_seconds_bucket{le="+Inf",track="output.video",ingress_type="RTMP_INPUT"} 2
# TYPE livekit_node_cpu_load gauge
livekit_node_cpu_load{node_id="NE_test",node_type="INGRESS"} 0.25
# TYPE livekit_ingress_available gauge
livekit_ingress_available{node_id="NE_test"} 0
# TYPE livekit_ingress_requests gauge
livekit_ingress_requests{node_id="NE_test",type="rtmp",transcoding="true"} 1
# TYPE livekit_ingress_publish_status counter
livekit_ingress_publish_status{node_id="NE_test",type="rtmp",status="success"} 2"#;
    let mut found = lines(&metrics.text(), "livekit_");
    let mut expected: Vec<&str> = expected.lines().collect();
    // The order of metrics is the registry's affair.
    found.sort();
    expected.sort_unstable();
    assert_eq!(found, expected);

    health.set_redis_connected(true);
    health.set_accepting(true);
    assert!(metrics.text().contains("livekit_ingress_available{node_id=\"NE_test\"} 1\n"));
}

#[test]
fn every_way_a_publication_ends_has_the_go_workers_word() {
    let (metrics, _) = metrics();
    for how in [Publication::Success, Publication::Refused, Publication::Upstream, Publication::Internal] {
        metrics.published(Input::Whip, how);
    }
    for status in ["success", "4xx", "5xx", "internal"] {
        let line = format!(
            "livekit_ingress_publish_status{{node_id=\"NE_test\",type=\"whip\",status=\"{status}\"}} 1\n"
        );
        assert!(metrics.text().contains(&line), "{line}");
    }
}

#[test]
fn our_own_metrics_count() {
    let (metrics, _) = metrics();
    metrics.queue_dropped("publisher_to_worker", 7);
    metrics.refused("unknown_key");
    metrics.worker_restarted();
    metrics.reconnected("redis");
    metrics.keyframe_requested(media::Quality::Low);
    metrics.taken_over();
    metrics.report_retried();
    metrics.degraded(Degradation::Speed1, 2);
    metrics.degradation_step(Degradation::None, Degradation::Speed1);
    metrics.degradation_step(Degradation::Withheld, Degradation::HalfRate);
    metrics.frame(media::Output::Video(media::Quality::High), Origin::Passed);
    metrics.switched(Origin::Encoded);
    let text = metrics.text();
    for line in [
        "sluicegate_queue_dropped_packets_total{queue=\"publisher_to_worker\"} 7\n",
        "sluicegate_refusals_total{reason=\"unknown_key\"} 1\n",
        "sluicegate_worker_restarts_total 1\n",
        "sluicegate_reconnects_total{peer=\"redis\"} 1\n",
        "sluicegate_keyframe_requests_total{layer=\"low\"} 1\n",
        "sluicegate_takeovers_total 1\n",
        "sluicegate_frames_total{output=\"high\",origin=\"passed\"} 1\n",
        "sluicegate_passthrough_switches_total{to=\"encoded\"} 1\n",
        "sluicegate_report_retries_total 1\n",
        "sluicegate_degraded_sessions{level=\"speed_1\"} 2\n",
        "sluicegate_degraded_sessions{level=\"withheld\"} 0\n",
        "sluicegate_degradation_steps_total{direction=\"down\",step=\"speed_1\"} 1\n",
        "sluicegate_degradation_steps_total{direction=\"up\",step=\"withheld\"} 1\n",
        "sluicegate_log_lines_dropped_total 0\n",
        "sluicegate_build_info{version=\"",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
}

/// Version 0.0.4 wants the `# TYPE` line of a sample's very name before it; else the sample is untyped.
#[test]
fn every_sample_stands_under_the_type_of_its_own_name() {
    let (metrics, _) = metrics();
    metrics.published(Input::Rtmp, Publication::Success);
    metrics.packet_latency(media::Kind::Audio, Input::Rtmp, Duration::from_millis(30));
    metrics.queue_dropped("worker_to_room", 1);
    let text = metrics.text();
    let (mut types, mut under, mut samples) = (HashMap::new(), "", 0);
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(types.insert(name, kind).is_none(), "{name} is declared twice");
            under = name;
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
            let name = series.split('{').next().unwrap();
            let suffix = name.strip_prefix(under).unwrap();
            let histogram = types[under] == "histogram";
            assert!(
                if histogram { ["_sum", "_count", "_bucket"].contains(&suffix) } else { suffix.is_empty() },
                "{line}"
            );
            samples += 1;
        }
    }
    assert!(samples > 20, "{text}");
}

#[test]
fn the_process_has_its_usual_figures() {
    let text = metrics().0.text();
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 100_000.0);
    assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
    assert!(value("process_open_fds") >= 3.0 && value("process_open_fds") <= value("process_max_fds"));
    assert!(value("process_cpu_seconds_total") >= 0.0);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let age = now - value("process_start_time_seconds");
    assert!((-2.0..86_400.0).contains(&age), "started {age} s ago");
    assert!(text.contains("# TYPE process_cpu_seconds_total counter\n"));
}

#[tokio::test]
async fn the_page_is_there_at_any_path_in_the_old_text_format() {
    let page = Page::serve(metrics().0.router()).await;
    for path in ["/metrics", "/"] {
        let (head, body) = page.get_whole(path).await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        assert!(body.contains("livekit_node_cpu_load"), "{body}");
    }
    page.close().await;
}
