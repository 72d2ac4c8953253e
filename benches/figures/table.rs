//! The table: figure, goal, measured, verdict; and below it every value.

use std::fmt::{self, Display, Write};

use crate::series::Series;

/// Which side of its goal a figure should be on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// This much or more.
    AtLeast(f64),
    /// This much or less.
    AtMost(f64),
}

/// One line of the table.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) goal: Goal,
    pub(crate) values: Series,
    /// What the figure is held against, in a few words; empty where the goal is a plain number.
    pub(crate) against: String,
}

impl Figure {
    fn is_met(&self) -> bool {
        match self.goal {
            Goal::AtLeast(least) => self.values.median() >= least,
            Goal::AtMost(most) => self.values.median() <= most,
        }
    }
}

/// All figures, and the floors they were held against.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) figures: Vec<Figure>,
    pub(crate) floors: Vec<(&'static str, &'static str, Series)>,
    /// What was seen on the way and has no goal.
    pub(crate) beside: Vec<(&'static str, &'static str, Series)>,
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| figure | goal | measured (median) | verdict | held against |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for figure in &self.figures {
            let Figure { name, unit, goal, values, against } = figure;
            let goal = match goal {
                Goal::AtLeast(least) => format!("≥ {}", round(*least)),
                Goal::AtMost(most) => format!("≤ {}", round(*most)),
            };
            let verdict = match figure.values.median() {
                // Faster than its own floor: something else ran while the floor was measured.
                below if below < 0.0 => "none: the floor was disturbed",
                _ if figure.is_met() => "met",
                _ => "MISSED",
            };
            let measured = round(values.median());
            writeln!(f, "| {name} | {goal} {unit} | {measured} {unit} | {verdict} | {against} |")?;
        }
        writeln!(f, "\n| floor of the machine | median |\n|---|---|")?;
        for (name, unit, values) in &self.floors {
            writeln!(f, "| {name} | {} {unit} |", round(values.median()))?;
        }
        writeln!(f, "\n| without a goal | median |\n|---|---|")?;
        for (name, unit, values) in &self.beside {
            writeln!(f, "| {name} | {} {unit} |", round(values.median()))?;
        }
        writeln!(f, "\nEvery value, in the order of the repeats:\n")?;
        for figure in &self.figures {
            writeln!(f, "* {} ({}): {}", figure.name, figure.unit, list(&figure.values))?;
        }
        for (name, unit, values) in self.floors.iter().chain(&self.beside) {
            writeln!(f, "* {name} ({unit}): {}", list(values))?;
        }
        Ok(())
    }
}

fn list(values: &Series) -> String {
    let mut text = String::new();
    for (at, value) in values.0.iter().enumerate() {
        let gap = if at == 0 { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{gap}{}", round(*value));
    }
    text
}

/// A number with as many digits as mean something.
pub(crate) fn round(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
