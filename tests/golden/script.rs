//! A script: comments, commands, and the trace under each command.

use crate::world::World;

/// A line that is kept, or a command whose trace is made anew.
enum Line {
    Kept(String),
    Command(String),
}

/// A script without its traces.
pub(crate) struct Script(Vec<Line>);

/// What a run of a script came to.
pub(crate) struct Outcome {
    /// The script with the traces that came out.
    pub(crate) text: String,
    /// What no trace may bless: commands that cannot be, violations that the disk saw.
    pub(crate) wrong: Vec<String>,
}

impl Script {
    /// Reads a script; the traces in it are left out: they end at an empty line, a comment or the next command.
    pub(crate) fn parse(text: &str) -> Script {
        let mut lines = Vec::new();
        let mut in_trace = false;
        for line in text.lines() {
            if let Some(command) = line.strip_prefix('>') {
                lines.push(Line::Command(command.trim().to_owned()));
                in_trace = true;
                continue;
            }
            in_trace &= !(line.is_empty() || line.starts_with('#'));
            if !in_trace {
                lines.push(Line::Kept(line.to_owned()));
            }
        }
        Script(lines)
    }

    /// Carries out the commands, in a world of their own.
    pub(crate) fn run(&self) -> Outcome {
        let mut world = World::new();
        let mut text = String::new();
        let mut wrong = Vec::new();
        for line in &self.0 {
            match line {
                Line::Kept(line) => text += &format!("{line}\n"),
                Line::Command(command) => {
                    text += &format!("> {command}\n");
                    if let Err(why) = world.command(command) {
                        wrong.push(format!("`{command}`: {why}"));
                    }
                    for line in world.take_trace() {
                        text += &format!("{line}\n");
                    }
                }
            }
        }
        wrong.extend(world.violations());
        Outcome { text, wrong }
    }
}
