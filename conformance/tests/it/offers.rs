//! What a server does not offer is not applicable: never passed, never failed, unless required.

use std::process::Command;

use collab_conformance::case::{self, Case};
use collab_conformance::runner::{Options, Session};
use collab_conformance::target::Target;
use collab_spec::profile::Profile;
use collab_spec::report::{Report, Verdict};

use crate::toy::{Fault, Toy};

/// The report on a toy that offers only some profiles, of a few cases of each.
async fn report(fault: Fault, options: Options) -> (Report, Vec<Profile>) {
    let url = Toy::start(Some(fault)).await;
    let session = Session::new(Target::new(&url).unwrap(), options);
    session.open().await.unwrap();
    let cases: Vec<Case> = case::all()
        .unwrap()
        .into_iter()
        .filter(|case| {
            let beginnings = [
                "resume/zero",
                "state/astral",
                "profiles/",
                "presence/null",
                "http/",
            ];
            beginnings.iter().any(|start| case.id.starts_with(start))
        })
        .collect();
    for case in &cases {
        session.play(case).await;
    }
    (session.report(&cases), session.lacking())
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_of_profiles_that_are_not_offered_are_not_applicable() {
    let _alone = crate::ALONE.lock().await;
    for (fault, offered) in [
        (Fault::OffersNothing, &[Profile::Core][..]),
        (Fault::OffersState, &[Profile::Core, Profile::State]),
    ] {
        let options = Options {
            required: vec![Profile::Resume, Profile::Core],
            ..Options::default()
        };
        let (report, lacking) = report(fault, options).await;
        assert_eq!(report.profiles, offered);
        assert_eq!(lacking, [Profile::Resume]);
        for case in &report.cases {
            let all = offered.contains(&case.profile)
                && case.needs.iter().all(|profile| offered.contains(profile));
            let wanted = if all {
                Verdict::Pass
            } else {
                Verdict::NotApplicable
            };
            assert_eq!(
                case.verdict, wanted,
                "{fault:?} {}: {:?}",
                case.id, case.message
            );
            if !all {
                let message = case.message.as_deref().unwrap();
                assert!(message.contains("does not offer the profile"), "{message}");
            }
        }
        assert!(report.summary.not_applicable > 0 && report.summary.pass > 0);
        let silent = report
            .requirements
            .iter()
            .find(|requirement| requirement.id == "resume.zero")
            .unwrap();
        assert_eq!(silent.verdict, Verdict::NotApplicable);
    }
}

/// The exit code and the output of the command against a server that offers nothing.
async fn command(arguments: &'static [&'static str]) -> (Option<i32>, String) {
    let url = Toy::start(Some(Fault::OffersNothing)).await;
    let run = move || {
        let output = Command::new(env!("CARGO_BIN_EXE_collab-conformance"))
            .args(["run", "--url", &url])
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text + &errors)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_profile_that_is_not_offered_is_a_failure() {
    let _alone = crate::ALONE.lock().await;
    let (code, text) = command(&["http/"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("the server offers the profiles: core"),
        "{text}"
    );
    let (code, text) = command(&["http/", "--require-profile", "state"]).await;
    assert_eq!(code, Some(1), "{text}");
    let sentence = "the server does not offer the profile `state`, as --require-profile demands";
    assert!(text.contains(sentence), "{text}");
    // Nothing passed where nothing could be played.
    let (code, text) = command(&["resume/zero"]).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("    2 not applicable  ("), "{text}");
}
