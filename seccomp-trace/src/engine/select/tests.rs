use super::*;

fn nginx(name: &str) -> Container {
    Container {
        engine: "docker".to_owned(),
        name: name.to_owned(),
        id: format!("c0ffee{}", "0".repeat(58)),
        image: Some("docker.io/library/nginx:1.27".to_owned()),
        image_digest: Some("sha256:abcd".to_owned()),
        labels: [("tier", "front"), ("empty", "")].map(|(key, value)| (key.into(), value.into())).into(),
        ..Container::default()
    }
}

fn container(text: &str) -> Selector {
    Selector::parse(&[text], &[], &[], false).unwrap()
}

fn image(text: &str) -> Selector {
    Selector::parse(&[], &[text], &[], false).unwrap()
}

fn label(text: &str) -> Selector {
    Selector::parse(&[], &[], &[text], false).unwrap()
}

#[test]
fn a_container_by_name_id_and_glob() {
    let web = nginx("web-1");
    let whole = web.id.clone();
    for wanted in ["web-1", "/web-1", "web*", "w?b-[0-9]", "{db,web}-1", "c0ff", "c0ffee000000", &whole] {
        assert!(container(wanted).matches(&web), "{wanted}");
    }
    for wanted in ["web", "WEB-1", "db*", "c0f", "C0FFEE", "c0fff", "0000"] {
        assert!(!container(wanted).matches(&web), "{wanted}");
    }
}

#[test]
fn an_image_by_name_tag_digest_and_glob() {
    let web = nginx("web");
    for wanted in
        ["nginx", "nginx:1.27", "docker.io/library/nginx", "library*", "*ginx", "nginx:1.*", "sha256:abcd"]
    {
        assert_eq!(image(wanted).matches(&web), wanted != "library*", "{wanted}");
    }
    for wanted in ["nginx:1.2", "ngin", "ghcr.io/nginx", "nginx:latest", "1.27"] {
        assert!(!image(wanted).matches(&web), "{wanted}");
    }
    let of = |name: &str| Container { image: Some(name.to_owned()), ..Container::default() };
    assert!(image("nginx:latest").matches(&of("nginx")));
    assert!(image("localhost:5000/app").matches(&of("localhost:5000/app:2")));
    assert!(image("localhost:5000/app").matches(&of("localhost:5000/app")));
    assert!(image("localhost:5000/*").matches(&of("localhost:5000/team/app@sha256:12")));
    assert!(image("app:2").matches(&of("app:2@sha256:12")));
    assert!(!image("localhost").matches(&of("localhost:5000/app")));
    assert!(!image("*").matches(&Container::default()));
}

#[test]
fn a_label_by_key_and_value() {
    let web = nginx("web");
    for (wanted, is) in [
        ("tier", true),
        ("tier=front", true),
        ("tier=", false),
        ("tier=back", false),
        ("front", false),
        ("empty=", true),
    ] {
        assert_eq!(label(wanted).matches(&web), is, "{wanted}");
    }
}

#[test]
fn a_pod_by_its_namespace_and_name() {
    let pod = |namespace: Option<&str>, name: &str| Container {
        pod: Some(Pod { namespace: namespace.map(str::to_owned), name: name.to_owned() }),
        ..nginx("app")
    };
    let (web, podman) = (pod(Some("default"), "web-1"), pod(None, "web-1"));
    for (wanted, is, is_podmans) in [
        ("default/web-1", true, false),
        ("default/web-*", true, false),
        ("*/web-1", true, false),
        ("web-1", true, true),
        ("web-*", true, true),
        ("other/*", false, false),
        ("default", false, false),
        ("app", false, false),
    ] {
        let selector = Selector::default().with_pods(&[wanted]).unwrap();
        assert_eq!((selector.matches(&web), selector.matches(&podman)), (is, is_podmans), "{wanted}");
        assert!(!selector.matches(&nginx("web-1")) && !selector.is_empty());
        assert_eq!(selector.is_open(), wanted.contains('*'));
    }
}

#[test]
fn what_is_repeated_is_united() {
    let selector = Selector::parse(&["db"], &["redis"], &["tier"], false).unwrap();
    assert!(selector.matches(&nginx("web")));
    assert!(selector.matches(&Container { name: "db".to_owned(), ..Container::default() }));
    assert!(!selector.matches(&Container::default()));
    assert!(Selector::parse::<&str>(&[], &[], &[], true).unwrap().matches(&Container::default()));
}

#[test]
fn nothing_asked_for_is_nothing() {
    let selector = Selector::default();
    assert!(selector.is_empty() && !selector.is_open() && !selector.matches(&nginx("web")));
    assert!(!container("web").is_open());
    assert!(container("web*").is_open() && image("nginx").is_open() && label("tier").is_open());
}

#[test]
fn what_is_missing_is_told_as_typed() {
    let selector =
        Selector::parse(&["web", "db*", "cache"], &["nginx", "redis"], &["tier=back", "tier"], false)
            .unwrap();
    let missing: Vec<_> =
        selector.unmatched(&[&nginx("web")]).iter().map(|term| (term.to_string(), term.open)).collect();
    let expected = [
        ("--container db*", true),
        ("--container cache", false),
        ("--image redis", true),
        ("--label tier=back", true),
    ];
    assert_eq!(missing, expected.map(|(text, open)| (text.to_owned(), open)));
}

#[test]
fn what_cannot_be_used_is_named() {
    let error = Selector::parse(&["we[b"], &[], &[], false).unwrap_err().to_string();
    assert!(error.starts_with("--container \"we[b\" is not a glob:"), "{error}");
    for (containers, images, labels, option) in [
        ([""].as_slice(), [].as_slice(), [].as_slice(), "--container is empty"),
        (&["/"], &[], &[], "--container is empty"),
        (&[], &[""], &[], "--image is empty"),
        (&[], &[], &[""], "--label's key is empty"),
        (&[], &[], &["=x"], "--label's key is empty"),
    ] {
        let error = Selector::parse::<&str>(containers, images, labels, false).unwrap_err();
        assert_eq!(error.to_string(), option);
    }
}

#[test]
fn near_misses_are_suggested() {
    let names = ["web", "shop-web-1", "database", "redis", "web"];
    assert_eq!(suggest("wbe", names), ["web"]);
    assert_eq!(suggest("Web", names), ["web", "shop-web-1"]);
    assert_eq!(suggest("databse", names), ["database"]);
    assert_eq!(suggest("zzz", names), Vec::<String>::new());
    assert_eq!(suggest("", names), Vec::<String>::new());
    let ids = [nginx("web"), nginx("wéb")];
    assert_eq!(suggest_containers("c0fee", &ids), ["c0ffe"]);
    assert_eq!(suggest_containers("wêb", &ids), ["web", "wéb"]);
}

proptest::proptest! {
    #[test]
    fn no_name_and_no_pattern_breaks_it(text in ".{0,40}", name in ".{0,40}", id in ".{0,40}") {
        let container = Container { image: Some(name.clone()), name, id, ..Container::default() };
        if let Ok(selector) = Selector::parse(&[&text], &[&text], &[&text], false) {
            let found = selector.matches(&container);
            proptest::prop_assert_eq!(found, selector.unmatched(&[&container]).len() < 3);
        }
        let _ = suggest_containers(&text, [&container]);
    }
}

fn without(selector: Selector, excludes: &[&str]) -> Result<Selector, String> {
    selector.without(excludes).map_err(|error| error.to_string())
}

#[test]
fn excludes_take_away_by_name_glob_and_label() {
    let all = || Selector::parse::<&str>(&[], &[], &[], true).unwrap();
    let web = nginx("web-1");
    for exclude in ["web-1", "/web-1", "web-*", "w?b-[0-9]", "label:tier", "label:tier=front", "label:empty="]
    {
        assert!(without(all(), &[exclude]).unwrap().excludes(&web), "{exclude}");
    }
    // An id's beginning might be anybody's name.
    for exclude in ["web", "tier", "c0ffee", "label:tier=", "label:web-1", "label:empty=1"] {
        assert!(!without(all(), &[exclude]).unwrap().excludes(&web), "{exclude}");
    }
    let both = without(all(), &["db", "label:tier"]).unwrap();
    assert!(both.excludes(&web) && both.excludes(&Container { name: "db".into(), ..Container::default() }));
    assert!(!without(all(), &[]).unwrap().excludes(&web));
}

#[test]
fn excludes_that_can_be_meant_otherwise_are_refused() {
    let all = || Selector::parse::<&str>(&[], &[], &[], true).unwrap();
    for exclude in ["tier=front", "labels:tier", "a:b", "*=x"] {
        let error = without(all(), &[exclude]).unwrap_err();
        assert!(error.contains("label:KEY") && error.contains(exclude), "{error}");
    }
    for exclude in ["", "label:", "label:=front"] {
        assert!(without(all(), &[exclude]).unwrap_err().contains("--exclude"), "{exclude:?}");
    }
    assert!(without(all(), &["[a"]).unwrap_err().contains("is not a glob"));
    assert!(without(Selector::default(), &["web"]).unwrap_err().contains("give one of them"));
}

#[test]
fn excludes_that_leave_nothing_are_refused() {
    let all = Selector::parse::<&str>(&[], &[], &[], true).unwrap();
    let of = |selector: &Selector, excludes: &[&str]| without(selector.clone(), excludes);
    let error = of(&all, &["db", "*"]).unwrap_err();
    assert_eq!(error, "--exclude db, --exclude * takes away all that --all selects");
    assert!(of(&all, &["w*"]).is_ok());
    assert!(of(&container("web"), &["web"]).is_err() && of(&container("web"), &["w*"]).is_err());
    assert!(of(&container("w*"), &["w*"]).is_err() && of(&container("w*"), &["web"]).is_ok());
    assert!(of(&image("nginx"), &["nginx"]).is_ok() && of(&image("nginx"), &["**"]).is_err());
    assert!(of(&label("tier=front"), &["label:tier"]).is_err());
    assert!(of(&label("tier"), &["label:tier=front"]).is_ok());
    // Something is left.
    let two = Selector::parse(&["web", "db"], &[], &[], false).unwrap();
    assert!(of(&two, &["web"]).is_ok() && of(&two, &["web", "db"]).is_err());
}
