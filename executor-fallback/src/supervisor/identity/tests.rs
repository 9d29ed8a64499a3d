//! Identities against a made-up database: nothing here depends on the users of this machine.

use super::*;

struct Village;

impl Accounts for Village {
    fn user(&self, who: &Account) -> io::Result<Option<Person>> {
        let all = [("root", 0, 0), ("nobody", 99, 98), ("ann", 1000, 1001), ("wheeler", 1002, 0), ("adm", 1003, 1004)];
        let found = all.iter().find(|(name, uid, _)| match who {
            Account::Id(id) => id == uid,
            Account::Name(wanted) => wanted == name,
        });
        Ok(found.map(|(name, uid, gid)| Person { name: (*name).into(), uid: *uid, gid: *gid }))
    }

    fn group(&self, name: &str) -> io::Result<Option<u32>> {
        Ok([("wheel", 0), ("video", 44)].iter().find(|(known, _)| *known == name).map(|(_, gid)| *gid))
    }

    fn groups_of(&self, name: &str, own: u32) -> io::Result<Vec<u32>> {
        Ok(match name {
            "ann" => vec![own, 44, 27],
            "adm" => vec![own, 0],
            "nobody" => vec![own, 7],
            _ => vec![own],
        })
    }
}

const ROOT: Caller = Caller { uids: [0, 0], gids: [0, 0] };
const ANN: Caller = Caller { uids: [1000, 1000], gids: [1001, 1001] };

/// The identity with these words, and what comes of it.
fn resolve(json: &str, caller: &Caller) -> Result<Option<(u32, u32, Vec<u32>)>> {
    let identity: Identity = serde_json::from_str(json).expect("well formed");
    Ok(owner(&identity, caller, &Village)?.map(|owner| (owner.uid, owner.gid, owner.groups)))
}

#[test]
fn a_root_host_gives_nobody_or_what_is_named() {
    let gives = |json: &str, uid: u32, groups: &[u32]| {
        assert_eq!(resolve(json, &ROOT), Ok(Some((uid, groups[0], groups.to_vec()))), "{json}");
    };
    gives("{}", 99, &[98]);
    gives(r#"{"group":"video"}"#, 99, &[44]);
    gives(r#"{"user":"ann"}"#, 1000, &[1001, 27, 44]);
    gives(r#"{"user":1000,"supplementary":[]}"#, 1000, &[1001]);
    gives(r#"{"user":"ann","group":"wheel","supplementary":[]}"#, 1000, &[0]);
    gives(r#"{"user":4242,"group":4243}"#, 4242, &[4243]);
    gives(r#"{"user":"wheeler","group":5,"supplementary":["video",5,44]}"#, 1002, &[5, 44]);
}

#[test]
fn root_and_group_zero_come_to_nobody_by_accident() {
    for json in [r#"{"user":"root"}"#, r#"{"user":0}"#, r#"{"user":"wheeler"}"#, r#"{"user":"adm"}"#] {
        let error = resolve(json, &ROOT).expect_err(json);
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.fix().is_some(), "{error}");
    }
}

#[test]
fn the_unknown_is_named() {
    let cases = [
        (r#"{"user":"alice"}"#, "alice"),
        (r#"{"group":"ops"}"#, "ops"),
        (r#"{"user":"ann","supplementary":["ops"]}"#, "ops"),
        (r#"{"user":4242}"#, "4242"),
    ];
    for (json, name) in cases {
        let error = resolve(json, &ROOT).expect_err(json);
        assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn another_host_gives_itself_only() {
    for json in ["{}", r#"{"user":"ann"}"#, r#"{"user":1000,"group":1001}"#] {
        assert_eq!(resolve(json, &ANN), Ok(None), "{json}");
    }
    for json in [r#"{"user":"nobody"}"#, r#"{"group":"video"}"#, r#"{"supplementary":[27]}"#, r#"{"user":"root"}"#] {
        assert_eq!(resolve(json, &ANN).map_err(|error| error.kind()), Err(ErrorKind::Denied), "{json}");
    }
    let unlisted = Caller { uids: [4242; 2], gids: [4343; 2] };
    assert_eq!(resolve(r#"{"user":4242}"#, &unlisted), Ok(None), "the database need not know the host");
    let two_faced = Caller { uids: [0, 1000], gids: [1001, 1001] };
    assert_eq!(resolve("{}", &two_faced).map_err(|error| error.kind()), Err(ErrorKind::Denied));
}
