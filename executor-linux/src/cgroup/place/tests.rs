//! Which group is chosen, and what is said where none can be.

use super::*;

const MEMORY_AND_PIDS: [Controller; 2] = [Controller::Memory, Controller::Pids];

fn group(role: Role, ours: bool, available: &[Controller], enabled: &[Controller]) -> Site {
    let path = match role {
        Role::Named => "/m/named/group",
        Role::AboveOurs => "/m/unit",
        Role::OurOwn => "/m/unit/host",
    };
    Site { path: path.into(), role, ours, available: available.to_vec(), enabled: enabled.to_vec() }
}

fn chosen(sites: &[&Site]) -> Result<(usize, Vec<Controller>), (String, String)> {
    choose(sites, &MEMORY_AND_PIDS).map_err(|refusal| (refusal.why, refusal.fix))
}

#[test]
fn the_group_above_ours_is_taken_where_it_is_ours_and_switched_on_where_needed() {
    let own = group(Role::OurOwn, false, &MEMORY_AND_PIDS, &[]);
    let ready = group(Role::AboveOurs, true, &MEMORY_AND_PIDS, &MEMORY_AND_PIDS);
    assert_eq!(chosen(&[&ready, &own]), Ok((0, Vec::new())));
    let half = group(Role::AboveOurs, true, &MEMORY_AND_PIDS, &[Controller::Memory]);
    assert_eq!(chosen(&[&half, &own]), Ok((0, vec![Controller::Pids])));
}

#[test]
fn the_group_above_ours_is_left_alone_where_it_is_not_ours() {
    let above = group(Role::AboveOurs, false, &MEMORY_AND_PIDS, &MEMORY_AND_PIDS);
    let own = group(Role::OurOwn, false, &MEMORY_AND_PIDS, &[]);
    let (why, fix) = chosen(&[&above, &own]).expect_err("our own has processes");
    assert!(why.starts_with("/m/unit/host has processes"), "{why}");
    assert!(fix.contains("Delegate=yes") && fix.contains("cgroup_parent"), "{fix}");
}

#[test]
fn our_own_group_is_the_parent_where_no_controller_is_needed_or_it_gives_all() {
    let above = group(Role::AboveOurs, false, &[], &[]);
    let own = group(Role::OurOwn, false, &MEMORY_AND_PIDS, &[]);
    assert_eq!(choose(&[&above, &own], &[]), Ok((1, Vec::new())), "hybrid: nothing is counted here");
    let root = group(Role::OurOwn, false, &MEMORY_AND_PIDS, &MEMORY_AND_PIDS);
    assert_eq!(chosen(&[&root]), Ok((0, Vec::new())), "only the root can have both");
}

#[test]
fn a_named_group_is_used_as_it_is_and_switched_on_only_if_it_is_ours() {
    let foreign = group(Role::Named, false, &MEMORY_AND_PIDS, &[Controller::Pids]);
    let (why, fix) = chosen(&[&foreign]).expect_err("it is somebody else's");
    assert_eq!(why, "/m/named/group gives groups below it no memory");
    assert_eq!(fix, "echo \"+memory\" > /m/named/group/cgroup.subtree_control");
    let ours = group(Role::Named, true, &MEMORY_AND_PIDS, &[]);
    assert_eq!(chosen(&[&ours]), Ok((0, MEMORY_AND_PIDS.to_vec())));
    let ready = group(Role::Named, false, &MEMORY_AND_PIDS, &MEMORY_AND_PIDS);
    assert_eq!(chosen(&[&ready]), Ok((0, Vec::new())));
}

#[test]
fn what_a_group_was_not_given_is_named_with_the_line_to_write() {
    for role in [Role::Named, Role::AboveOurs] {
        let site = group(role, true, &[Controller::Memory], &[Controller::Memory]);
        let (why, fix) = chosen(&[&site]).expect_err("pids is missing");
        let dir = site.path.display();
        assert_eq!(why, format!("{dir} was not given pids"));
        let above = site.path.parent().expect("it has one").display();
        assert!(fix.contains(&format!("echo \"+pids\" > {above}/cgroup.subtree_control")), "{fix}");
        assert!(fix.contains("Delegate=pids"), "{fix}");
    }
}

#[test]
fn a_group_below_a_unit_is_the_units_and_the_unit_itself_is_not() {
    let cases = [
        ("/system.slice/agent.service/host", true),
        ("/user.slice/user-7.slice/user@7.service/app.slice/a.scope/x/y", true),
        ("/system.slice/agent.service", false),
        ("/user.slice/user-7.slice/session-1.scope", false),
        ("/user.slice/user-7.slice/user@7.service/app.slice/a.scope", false),
        ("/system.slice/loose", false),
        ("/docker/0123", false),
        ("/", false),
    ];
    for (own, within) in cases {
        assert_eq!(is_within_unit(Path::new(own)), within, "{own}");
    }
}
