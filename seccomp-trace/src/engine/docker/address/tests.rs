use super::*;

fn host(text: &str) -> Result<String, String> {
    let settings = Settings { host: Some(text.to_owned()), ..Settings::default() };
    settings.address().map(|address| address.to_string()).map_err(|error| error.to_string())
}

#[test]
fn addresses_on_this_host() {
    for (text, expected) in [
        ("unix:///run/user/1000/docker.sock", "unix:///run/user/1000/docker.sock"),
        ("unix://", "unix:///var/run/docker.sock"),
        ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"),
        ("tcp://localhost:4000/", "tcp://localhost:4000"),
        ("tcp://", "tcp://127.0.0.1:2375"),
        ("tcp://[::1]:1", "tcp://[::1]:1"),
        ("http://127.1.2.3", "tcp://127.1.2.3:2375"),
        ("localhost:99", "tcp://localhost:99"),
    ] {
        assert_eq!(host(text).as_deref(), Ok(expected));
    }
}

#[test]
fn what_is_not_this_host_is_refused() {
    for text in ["ssh://root@build", "tcp://10.0.0.1:2375", "tcp://example.org", "tcp://[fe80::1]:1"] {
        let error = host(text).unwrap_err();
        assert!(error.contains(text) && error.contains("DOCKER_HOST"), "{error}");
        assert!(error.contains("the engine's own host"), "{error}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for text in [
        "npipe:////./pipe/docker",
        "unix://docker.sock",
        "/var/run/docker.sock",
        "tcp://localhost:x",
        "tcp://[::1",
    ] {
        assert!(host(text).unwrap_err().contains("can't be used: "), "{text}");
    }
    let tls = Settings { host: Some("tcp://127.0.0.1:2376".to_owned()), tls: true, ..Settings::default() };
    assert!(tls.address().unwrap_err().to_string().contains("TLS is not supported"));
}

/// A configuration folder with two contexts, `dev` current.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (hash, name, host) in [("11aa", "dev", "unix:///run/dev.sock"), ("22bb", "far", "ssh://far")] {
        let meta = folder.path().join("contexts/meta").join(hash);
        std::fs::create_dir_all(&meta).unwrap();
        let text = format!(
            r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
        );
        std::fs::write(meta.join("meta.json"), text).unwrap();
    }
    std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"dev"}"#).unwrap();
    folder
}

fn with_folder(folder: &Path, context: Option<&str>) -> Result<String, String> {
    let context = context.map(str::to_owned);
    // The first one has nothing: root's under sudo.
    let folders = vec![folder.join("none"), folder.to_path_buf()];
    let settings = Settings { context, folders, ..Settings::default() };
    settings.address().map(|address| address.to_string()).map_err(|error| error.to_string())
}

#[test]
fn contexts() {
    let folder = folder();
    assert_eq!(with_folder(folder.path(), None).as_deref(), Ok("unix:///run/dev.sock"));
    assert_eq!(with_folder(folder.path(), Some("dev")).as_deref(), Ok("unix:///run/dev.sock"));
    assert_eq!(with_folder(folder.path(), Some("default")).as_deref(), Ok("unix:///var/run/docker.sock"));
    let error = with_folder(folder.path(), Some("far")).unwrap_err();
    assert!(error.contains("the context \"far\"") && error.contains("own host"), "{error}");
    let error = with_folder(folder.path(), Some("nope")).unwrap_err();
    assert!(error.contains("\"nope\"") && error.contains("default, dev, far"), "{error}");
    let settings = Settings {
        host: Some("unix:///a".to_owned()),
        context: Some("nope".to_owned()),
        folders: vec![folder.path().to_path_buf()],
        tls: false,
    };
    assert_eq!(settings.address().unwrap().to_string(), "unix:///a");
}

#[test]
fn a_context_with_certificates_is_refused() {
    let folder = folder();
    std::fs::create_dir_all(folder.path().join("contexts/tls/11aa/docker")).unwrap();
    assert_eq!(with_folder(folder.path(), None).as_deref(), Ok("unix:///run/dev.sock"));
    let meta = r#"{"Name":"dev","Endpoints":{"docker":{"Host":"tcp://127.0.0.1:2376"}}}"#;
    std::fs::write(folder.path().join("contexts/meta/11aa/meta.json"), meta).unwrap();
    assert!(with_folder(folder.path(), None).unwrap_err().contains("TLS is not supported"));
}

#[test]
fn without_any_configuration_the_default_socket() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(with_folder(folder.path(), None).as_deref(), Ok("unix:///var/run/docker.sock"));
    std::fs::write(folder.path().join("config.json"), r#"{"auths":{}}"#).unwrap();
    assert_eq!(with_folder(folder.path(), None).as_deref(), Ok("unix:///var/run/docker.sock"));
    let error = with_folder(folder.path(), Some("dev")).unwrap_err();
    assert!(error.contains("known: default"), "{error}");
}

#[test]
fn a_broken_configuration_is_named() {
    let folder = folder();
    let config = folder.path().join("config.json");
    std::fs::write(&config, "{").unwrap();
    let error = with_folder(folder.path(), None).unwrap_err();
    assert!(error.contains("config.json"), "{error}");
    // A context that was asked for needs no config.json; a broken one beside it does not matter.
    std::fs::write(folder.path().join("contexts/meta/22bb/meta.json"), "[").unwrap();
    assert_eq!(with_folder(folder.path(), Some("dev")).as_deref(), Ok("unix:///run/dev.sock"));
    // A FIFO would block.
    std::fs::remove_file(&config).unwrap();
    std::fs::create_dir(&config).unwrap();
    assert!(with_folder(folder.path(), None).is_err());
}
