//! What the table shows, what tidy says of it, and what becomes of a report that the plugin no longer gives.

use super::report::{Situation, Who};
use super::*;

const ROOT: &str = r#"{"usable":true,"features":{"user":{"level":"hard"},"nice":{"level":"hard"},"umask":{"level":"hard"},
    "capabilities":{"level":"soft"},"files":{"level":"none"},"network":{"level":"some day"}}}"#;
const USER: &str =
    r#"{"usable":true,"features":{"user":{"level":"none"},"nice":{"level":"hard"},"umask":{"level":"hard"}}}"#;
const NOT_YET: &str = r#"{"usable":false,"why":"not yet","features":{}}"#;

fn texts(files: &[(&str, &str)]) -> Texts {
    files.iter().map(|(name, text)| (format!("{HOME}{name}.json"), (*text).to_owned())).collect()
}

fn reports() -> Texts {
    texts(&[("a-linux-root", ROOT), ("a-linux-user", USER), ("b-linux-root", NOT_YET), ("b-linux-user", NOT_YET)])
}

#[test]
fn equal_features_share_a_row_and_equal_situations_a_column() {
    let table = table(&reports()).unwrap();
    let expected = [
        "| on Linux | `a` as root | `a` as user | `b` |",
        "| --- | --- | --- | --- |",
        "| runs tasks | yes | yes | no |",
        "| **surroundings** |  |  |  |",
        "| `umask`, `nice` | hard | hard | – |",
        "| `user` | hard | – | – |",
        "| `capabilities` | soft | – | – |",
        "- `b` runs no tasks on Linux: not yet.",
    ];
    for line in expected {
        assert!(table.lines().any(|is| is == line), "{line}\n{table}");
    }
    let files = table.lines().find(|line| line.contains("`files`")).unwrap();
    assert!(
        files.contains("`network`") && files.ends_with("| – | – | – |"),
        "an unknown level promises nothing: {files}"
    );
    let [user, none] = ["| `user` |", "`files`"].map(|row| table.find(row).unwrap());
    assert!(user < none, "what is enforced comes first");
}

#[test]
fn a_second_system_is_named_in_every_head() {
    let table = table(&texts(&[("a-linux-root", ROOT), ("a-freebsd-root", USER)])).unwrap();
    assert!(table.contains("|  | `a` as root on FreeBSD | `a` as root on Linux |"), "{table}");
}

#[test]
fn a_feature_without_a_group_and_a_file_without_a_situation_are_errors() {
    let error = |name, text| table(&texts(&[(name, text)])).unwrap_err().to_string();
    let teleport = r#"{"usable":true,"features":{"teleport":{"level":"hard"}}}"#;
    assert!(error("a-linux-root", teleport).starts_with("put teleport into a group"));
    assert!(error("a-linux-admin", ROOT).starts_with("name docs/capabilities/a-linux-admin.json <plugin>-<os>-root"));
    assert!(error("root", ROOT).starts_with("name "));
    assert!(error("a-linux-root", "{}").ends_with("has no features"));
    assert!(error("a-linux-root", "[").starts_with("read docs/capabilities/a-linux-root.json"));
}

fn findings_of(readme: &str, reports: &Texts) -> Vec<(String, usize, String)> {
    let reports = reports.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    findings(reports.chain([(README, readme)]))
}

#[test]
fn a_readme_with_another_table_is_found_at_its_line() {
    let reports = reports();
    let right = format!("# A\n{BEGIN} x -->\n{}{END}\n", table(&reports).unwrap());
    assert_eq!(findings_of(&right, &reports), []);
    let wrong = right.replacen("| `user` | hard", "| `user` | soft", 1);
    let found = findings_of(&wrong, &reports);
    assert_eq!((found.len(), found[0].0.as_str(), found[0].1), (1, README, 2));
    assert!(found[0].2.ends_with("run cargo xtask table"), "{found:?}");

    assert!(findings_of("# A\n", &reports)[0].2.contains(BEGIN));
    assert!(findings_of(&format!("{BEGIN} -->\n"), &reports)[0].2.contains(END));
    assert!(findings_of(&right, &Texts::new())[0].2.starts_with("docs/capabilities/ is empty"));
}

fn asked(answer: Answer) -> Asked {
    Asked { situation: Situation { os: "linux".to_owned(), who: Who::Root }, answer }
}

#[test]
fn a_report_that_the_plugin_does_not_give_is_a_failure() {
    let kept = reports();
    let said = texts(&[("a-linux-root", ROOT), ("b-linux-root", NOT_YET)]);
    assert!(matches!(compare(&kept, asked(Answer::Reports(said.clone()))), Stage::Passed));
    assert!(matches!(compare(&kept, asked(Answer::NotHere("no".to_owned()))), Stage::Skipped(_)));
    for (wrong, path) in [
        (texts(&[("a-linux-root", USER), ("b-linux-root", NOT_YET)]), "a-linux-root"),
        (texts(&[("a-linux-root", ROOT)]), "b-linux-root"),
        ([said, texts(&[("c-linux-root", ROOT)])].into_iter().flatten().collect(), "c-linux-root"),
    ] {
        let Stage::Failed(why) = compare(&kept, asked(Answer::Reports(wrong))) else { panic!("{path} was not missed") };
        assert!(why.starts_with(&format!("{HOME}{path}.json is not what the plugin says")), "{why}");
    }
}
