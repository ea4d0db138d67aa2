#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = std::env::temp_dir().join(format!("fuzz-{}.yml", std::process::id()));
    tradernet_exporter::fuzzing::run("websocket", bytes, &file);
});
