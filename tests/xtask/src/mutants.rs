//! Switches each check off once, on a copy of the tree, and reports those of which no test takes note. The list is tests/mutants.txt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::shell::{Done, cargo, command, output, root, step};

/// One check switched off: `from` stands once in `file`, and the test must fail once it is `to`.
struct Mutant {
    name: String,
    file: String,
    from: String,
    to: String,
    target: String,
    test: String,
}

/// `only`: those with this in their name.
pub fn run_all(only: Option<String>) -> Done {
    let text = fs::read_to_string(root().join("tests/mutants.txt")).map_err(|error| error.to_string())?;
    let mut mutants = parse(&text)?;
    mutants.retain(|mutant| only.as_ref().is_none_or(|part| mutant.name.contains(part)));
    let tree = copy()?;
    for mutant in &mutants {
        mutant.apply(&tree)?;
    }
    step("without any change");
    baseline(&tree, &mutants)?;
    let mut failures = Vec::new();
    for (index, mutant) in mutants.iter().enumerate() {
        let begun = Instant::now();
        let verdict = mutant.tried(&tree)?;
        println!("{:>3}/{} {:>3} s {verdict}: {}", index + 1, mutants.len(), begun.elapsed().as_secs(), mutant.name);
        if verdict != "noticed" {
            failures.push(format!("{verdict}: {}", mutant.name));
        }
    }
    match failures.len() {
        0 => Ok(()),
        count => Err(format!("{count} of {} mutants\n{}", mutants.len(), failures.join("\n"))),
    }
}

/// Blocks of lines: name, file, `- ` lines, `+ ` lines, then test target and test.
fn parse(text: &str) -> Result<Vec<Mutant>, String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let blocks = lines.split(|line| line.trim().is_empty()).filter(|block| !block.is_empty());
    blocks
        .map(|block| read(block).ok_or_else(|| format!("tests/mutants.txt: not a mutant:\n{}", block.join("\n"))))
        .collect()
}

fn read(block: &[&str]) -> Option<Mutant> {
    let marked = |mark: &str| {
        let lines: Vec<_> = block.iter().filter_map(|line| line.trim_start().strip_prefix(mark)).collect();
        lines.join("\n")
    };
    let plain: Vec<_> = block.iter().map(|line| line.trim()).filter(|line| !line.starts_with(['-', '+'])).collect();
    let [name, file, test] = plain[..] else { return None };
    let (target, test) = test.split_once(' ')?;
    let owned = str::to_owned;
    let (from, to) = (marked("- "), marked("+ "));
    (!from.is_empty()).then(|| Mutant {
        name: owned(name),
        file: owned(file),
        from,
        to,
        target: owned(target),
        test: owned(test),
    })
}

/// What git knows of, so that no build product and no secret is copied. Unchanged files keep their dates, so that little is built anew.
fn copy() -> Result<PathBuf, String> {
    let tree = root().join("target/mutants/tree");
    let failed = |error: std::io::Error| error.to_string();
    for file in output(command("git").args(["ls-files"]))?.lines() {
        let (from, to) = (root().join(file), tree.join(file));
        let text = match fs::read(&from) {
            Ok(text) => text,
            // Deleted, and not yet committed.
            Err(_) => continue,
        };
        // The static and shared libraries are not what these tests link, and take most of the time.
        let text = match file {
            "Cargo.toml" => {
                String::from_utf8_lossy(&text).replace(r#"["lib", "cdylib", "staticlib"]"#, r#"["lib"]"#).into()
            }
            _ => text,
        };
        if fs::read(&to).is_ok_and(|old| old == text) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(&tree)).map_err(failed)?;
        fs::write(&to, text).map_err(failed)?;
    }
    Ok(tree)
}

fn tests(tree: &Path) -> Command {
    let mut command = cargo();
    command.current_dir(tree).args(["test", "--quiet"]).env("CARGO_TARGET_DIR", root().join("target/mutants/build"));
    if std::env::var_os("ATLS_FIXTURES").is_none() {
        command.env("ATLS_FIXTURES", root().join("../shared/fixtures"));
    }
    command
}

fn target(name: &str) -> Vec<&str> {
    if name == "lib" { vec!["--lib"] } else { vec!["--test", name] }
}

/// Every test that is named is there, and passes.
fn baseline(tree: &Path, mutants: &[Mutant]) -> Done {
    let mut seen = Vec::new();
    for mutant in mutants {
        let pair = (&mutant.target, &mutant.test);
        if seen.contains(&pair) {
            continue;
        }
        seen.push(pair);
        let said = output(tests(tree).args(target(&mutant.target)).arg("--").arg("--exact").arg(&mutant.test))?;
        if !said.contains("1 passed") {
            return Err(format!("{} {}: no such test\n{said}", mutant.target, mutant.test));
        }
    }
    Ok(())
}

impl Mutant {
    /// The file as it is and as it would be. An error where the list is out of date.
    fn apply(&self, tree: &Path) -> Result<(String, String), String> {
        let text = fs::read_to_string(tree.join(&self.file)).map_err(|error| format!("{}: {error}", self.file))?;
        match text.matches(&self.from).count() {
            1 => Ok((text.replacen(&self.from, &self.to, 1), text)),
            count => Err(format!("{}: stands {count} times in {}:\n{}", self.name, self.file, self.from)),
        }
    }

    #[cfg(test)]
    fn test_name(&self) -> &str {
        self.test.rsplit("::").next().unwrap_or(&self.test)
    }

    fn tried(&self, tree: &Path) -> Result<&'static str, String> {
        let (bent, straight) = self.apply(tree)?;
        let path = tree.join(&self.file);
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        fs::write(&path, bent).map_err(failed)?;
        let mut build = tests(tree);
        // Every panic is told; nobody reads them.
        let silent = |command: &mut Command| command.output().map(|output| output.status.success());
        let builds = silent(build.args(target(&self.target)).arg("--no-run"));
        let passes = silent(tests(tree).args(target(&self.target)).arg("--").arg("--exact").arg(&self.test));
        fs::write(&path, straight).map_err(failed)?;
        Ok(match (builds.map_err(failed)?, passes.map_err(failed)?) {
            (false, _) => "DOES NOT BUILD",
            (true, true) => "NOBODY NOTICED",
            (true, false) => "noticed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All files of a test target: of the library, or one of tests/rust with its folder.
    fn text_of(target: &str) -> String {
        let place = |path: &str| root().join(path);
        let mut open = match target {
            "lib" => vec![place("src")],
            _ => vec![place(&format!("tests/rust/{target}.rs")), place(&format!("tests/rust/{target}"))],
        };
        let mut all = String::new();
        while let Some(path) = open.pop() {
            match fs::read_dir(&path) {
                Ok(entries) => open.extend(entries.flatten().map(|entry| entry.path())),
                Err(_) => all += &fs::read_to_string(&path).unwrap_or_default(),
            }
        }
        all
    }

    /// What the list names may have been moved or renamed since.
    #[test]
    fn every_check_of_the_list_is_where_the_list_has_it() {
        let text = fs::read_to_string(root().join("tests/mutants.txt")).unwrap();
        let mutants = parse(&text).unwrap();
        assert!(mutants.len() > 100);
        let mut stale: Vec<String> = mutants.iter().filter_map(|mutant| mutant.apply(&root()).err()).collect();
        let is_gone = |mutant: &&Mutant| !text_of(&mutant.target).contains(&format!("fn {}(", mutant.test_name()));
        stale.extend(mutants.iter().filter(is_gone).map(|mutant| format!("{}: no test {}", mutant.name, mutant.test)));
        assert!(stale.is_empty(), "{}", stale.join("\n"));
    }
}
