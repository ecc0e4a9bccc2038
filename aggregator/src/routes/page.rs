//! The page for people. It holds no data, so it is open to anyone; what it shows, it asks for like any client.

use std::{collections::BTreeMap, sync::LazyLock};

use actix_web::{HttpRequest, HttpResponse, web::Path};
use edge::{
    FrontPage,
    asset::Asset,
    openapi::{Answers, problems},
    problem::{Kind, Problem},
};
use utoipa::IntoResponses;

/// Files of the folder `aggregator/page`, served as they are there.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../page/", $name)) as &'static [u8])),*]
    };
}

const FILES: [(&str, &[u8]); 26] = files![
    "api.js",
    "app.js",
    "chart.js",
    "counters.js",
    "dialogs.js",
    "dom.js",
    "en.js",
    "events.js",
    "head.js",
    "health.js",
    "icon.svg",
    "id.js",
    "key.js",
    "language.js",
    "letters.js",
    "live.js",
    "rates.js",
    "raw.js",
    "samples.js",
    "sparkline.js",
    "style.css",
    "theme.js",
    "topics.js",
    "uplot-LICENSE.txt",
    "uplot.css",
    "uplot.js",
];

static PARTS: LazyLock<BTreeMap<&'static str, Asset>> = LazyLock::new(|| {
    let asset = |(name, content)| (name, Asset::new(name, content));
    FILES.into_iter().map(asset).collect()
});

static INDEX: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("index.html", include_bytes!("../../page/index.html")));

/// What browsers get at `/`.
pub(super) const FRONT: FrontPage = FrontPage(&INDEX);

struct NoFile;

impl IntoResponses for NoFile {
    fn responses() -> Answers {
        problems(&[Kind::NotFound])
    }
}

/// A part of the page
#[utoipa::path(get, path = "/page/{file}", operation_id = "page_file",
    params(("file" = String, Path, description = "Its name", example = "app.js")),
    responses((status = 200, description = "The part", content_type = "*/*", body = String),
        (status = 304, description = "It is as the browser has it"), NoFile))]
pub(super) async fn file(
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    let part = PARTS.get(name.as_str());
    let part =
        part.ok_or_else(|| Problem::new(Kind::NotFound, "the page has no part of this name"))?;
    Ok(part.answer(&request))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// The page with all its scripts and styles, compressed.
    const MAX_BYTES: usize = 120 * 1024;

    fn text(name: &str) -> &'static str {
        let file = FILES.iter().find(|(other, _)| *other == name);
        std::str::from_utf8(file.unwrap_or_else(|| panic!("{name} is not served")).1).unwrap()
    }

    #[test]
    fn every_file_of_the_folder_is_served_but_those_for_the_compiler() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        let names = fs::read_dir(folder).unwrap();
        let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
        let unserved = |name: &String| {
            name.ends_with(".d.ts") || name == "index.html" || name == "jsconfig.json"
        };
        let there: BTreeSet<String> = names.filter(|name| !unserved(name)).collect();
        let served: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(served, there);
    }

    #[test]
    fn what_a_file_names_is_served() {
        let index = include_str!("../../page/index.html");
        let named = index
            .split("page/")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap());
        for name in named {
            text(name);
        }
        for (script, _) in FILES
            .iter()
            .filter(|(name, _)| name.strip_suffix(".js").is_some_and(|stem| stem != "uplot"))
        {
            let imports = text(script).split("from \"./").skip(1);
            for name in imports.map(|rest| rest.split('"').next().unwrap()) {
                text(name);
                let preload = format!("<link rel=\"modulepreload\" href=\"page/{name}\">");
                assert!(index.contains(&preload), "index.html loads {name} early");
            }
        }
    }

    #[test]
    fn both_languages_have_the_same_texts() {
        let keys = |name: &str| -> BTreeSet<String> {
            let lines = text(name)
                .lines()
                .filter_map(|line| line.strip_prefix("  \""));
            let keys = lines.filter_map(|line| line.split_once("\": "));
            keys.map(|(key, _)| key.to_owned()).collect()
        };
        let english = keys("en.js");
        assert!(english.len() > 50, "{english:?}");
        assert_eq!(english, keys("id.js"));
    }

    #[test]
    fn the_page_with_all_its_parts_is_small() {
        let bytes = PARTS.values().map(Asset::bytes).sum::<usize>() + INDEX.bytes();
        assert!(bytes <= MAX_BYTES, "{bytes}");
    }
}
