//! What each program and each of its subcommands prints with `--help`, as it was last accepted.
//!
//! When a change is wanted: `INSTA_UPDATE=always scripts/test -E 'test(help::)'`, and commit what it has changed.

use tests::programs;

/// The width of the terminal, because help is wrapped.
const WIDTH: &str = "100";

/// The words that lead to a command and to everything below it.
fn commands(command: &clap::Command, words: &[String]) -> Vec<Vec<String>> {
    let below = command.get_subcommands().flat_map(|command| {
        let words = [words, &[command.get_name().to_owned()]].concat();
        commands(command, &words)
    });
    std::iter::once(words.to_vec()).chain(below).collect()
}

async fn is_accepted(program: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/help");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for words in commands(&programs::command(program), &[]) {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        let ended = programs::run(program, &arguments, &[("COLUMNS", WIDTH)]).await;
        assert_eq!(
            ended.code,
            Some(0),
            "{program} {arguments:?}: {}",
            ended.err
        );
        let name = [&[program.to_owned()], &words[..]].concat().join(" ");
        settings.bind(|| insta::assert_snapshot!(name.replace(' ', "_"), ended.out, &name));
    }
}

#[tokio::test]
async fn help_of_the_publisher_is_as_it_was_accepted() {
    is_accepted("publisher").await;
}

#[tokio::test]
async fn help_of_the_aggregator_is_as_it_was_accepted() {
    is_accepted("aggregator").await;
}

#[tokio::test]
async fn help_of_the_standalone_program_is_as_it_was_accepted() {
    is_accepted("event-aggregator").await;
}
