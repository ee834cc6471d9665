//! What `systemctl show` of systemd 252 said of real units.

use super::*;

const ROOT: &str = "Slice=\nControlGroup=/\nId=-.slice\nLoadState=loaded\n";

fn said(slice: &str, cgroup: &str, id: &str, state: &str) -> Result<Unit, UnitError> {
    unit(&format!("Slice={slice}\nControlGroup={cgroup}\nId={id}\nLoadState={state}\n\n{ROOT}"))
}

#[track_caller]
fn is_at(slice: &str, id: &str, expected: &str) {
    assert_eq!(said(slice, "", id, "loaded").unwrap().cgroup, expected);
}

#[test]
fn one_that_runs_is_where_systemd_says() {
    let unit = said("a-b.slice", "/a.slice/a-b.slice/web.service", "web.service", "loaded").unwrap();
    assert_eq!(unit.cgroup, "/a.slice/a-b.slice/web.service");
    assert_eq!((unit.name.as_str(), unit.is_known), ("web.service", true));
    // Its file was broken or removed since.
    assert!(said("system.slice", "/system.slice/web.service", "web.service", "bad-setting").is_ok());
}

#[test]
fn one_that_does_not_run_is_where_it_will_be() {
    is_at("system.slice", "web.service", "/system.slice/web.service");
    is_at("a-b-c.slice", "web.service", "/a.slice/a-b.slice/a-b-c.slice/web.service");
    is_at("-.slice", "web.service", "/web.service");
    is_at("a.slice", "a-b.slice", "/a.slice/a-b.slice");
    is_at("system.slice", "memory.service", "/system.slice/_memory.service");
    is_at("system.slice", "_x.service", "/system.slice/__x.service");
    is_at("system.slice", "memoryd.service", "/system.slice/memoryd.service");
    // An instance's slice has its template's name, escaped.
    is_at("system-a\\x2db.slice", "a-b@1.service", "/system.slice/system-a\\x2db.slice/a-b@1.service");
}

#[test]
fn in_a_container_the_root_slice_is_not_at_the_root() {
    let said = "Slice=a.slice\nControlGroup=\nId=web.service\nLoadState=loaded\n\n\
                Slice=\nControlGroup=/docker/0a1b\nId=-.slice\nLoadState=loaded\n";
    assert_eq!(unit(said).unwrap().cgroup, "/docker/0a1b/a.slice/web.service");
}

#[test]
fn one_that_systemd_does_not_know_yet_is_where_systemd_run_puts_it() {
    let unit = said("", "", "run-1.service", "not-found").unwrap();
    assert_eq!((unit.cgroup.as_str(), unit.is_known), ("/system.slice/run-1.service", false));
    let unit = said("", "", "a-b@1.service", "not-found").unwrap();
    assert_eq!(unit.cgroup, "/system.slice/system-a\\x2db.slice/a-b@1.service");
}

#[test]
fn what_never_has_a_process_is_an_error() {
    for id in ["web.timer", "multi-user.target", "dev-sda.device"] {
        assert!(matches!(said("", "", id, "loaded"), Err(UnitError::NoCgroup(_))));
    }
    assert!(matches!(said("system.slice", "", "web.service", "masked"), Err(UnitError::Unusable(_))));
    assert!(matches!(unit(""), Err(UnitError::Asking(_))));
}
