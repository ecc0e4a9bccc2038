//! What a person sees after a mistake on the command line.

use super::eventctl;

#[tokio::test]
async fn a_mistake_on_the_command_line_is_explained() {
    let mistakes = [
        &["simulate", "--duplicates=1.5"][..],
        &["simulate", "--topics=0"],
        &["simulate", "--duration=soon"],
        &["publish", "no-such-file.ndjson"],
        &["publish", "-", "--resume=progress"],
        &["stats", "--url=ftp://localhost"],
        &["stats", "--key=new\nline"],
        &["stats", "--cert=cert.pem"],
        &["stats", "--ca-cert=no-such-file.pem"],
        &["dead-letters", "replay"],
        &["dead-letters", "show", "seven"],
    ];
    let mut screens = Vec::new();
    for mistake in mistakes {
        screens.push(eventctl(mistake).await);
    }
    insta::assert_snapshot!(screens.join("\n\n"));
}
