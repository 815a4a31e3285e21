//! The rows of a table: what each way of training comes to at every member, by seed.

use fedshield_train::{ExampleLoss, PairedDifference, mean_loss};

use crate::Outcome;
use crate::arm::{Arm, Kind};
use crate::bootstrap::mean;
use crate::options::{Measure, Options};
use crate::progress::Point;
use crate::results::{Job, Measured, MemberLosses, Results};

/// One way of training over the seeds that have it.
#[derive(Default)]
pub(crate) struct Row {
    pub name: String,
    pub seeds: Vec<SeedRow>,
}

/// One seed of it.
pub(crate) struct SeedRow {
    pub seed: u64,
    /// Losses of each member's examples.
    pub members: Vec<Vec<ExampleLoss>>,
    /// Ciphertext bytes that one member sends.
    pub bytes: u64,
    /// What each member ended up with, where there was a choice.
    pub chosen: Vec<Chosen>,
    pub points: Vec<Point>,
    /// Exact answers, their F1 summed, and number of answers, of all members.
    pub answers: Option<(f64, f64, f64)>,
}

/// Which adapter a member keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    Common,
    Home,
    Alone,
}

impl SeedRow {
    pub(crate) fn union(&self) -> f64 {
        mean_loss(&self.members.concat())
    }
}

impl Row {
    /// Mean over seeds of the loss at a member.
    pub(crate) fn at(&self, member: usize) -> f64 {
        mean(self.seeds.iter().map(|seed| mean_loss(&seed.members[member])))
    }

    pub(crate) fn union(&self) -> f64 {
        mean(self.seeds.iter().map(SeedRow::union))
    }

    /// Largest distance of a seed from the mean on the union.
    pub(crate) fn spread(&self) -> f64 {
        let mean = self.union();
        self.seeds.iter().map(|seed| (seed.union() - mean).abs()).fold(0.0, f64::max)
    }

    pub(crate) fn bytes(&self) -> f64 {
        mean(self.seeds.iter().map(|seed| seed.bytes as f64))
    }
}

/// The rows that a report has.
pub(crate) struct Rows {
    pub base: Row,
    /// Each member's best rate and checkpoint by its own validation part.
    pub alone: Row,
    /// The best rate and checkpoint by everybody's.
    pub central: Row,
    /// Single rates of both, for reports on validation.
    pub rates: Vec<Row>,
    pub federated: Vec<Row>,
    /// What members end up with: the common adapter, one trained on at home, or the one alone.
    pub best: Vec<Row>,
}

/// Collects what there is for the asked seeds and arms.
pub(crate) struct Collector<'a> {
    pub options: &'a Options,
    pub arms: &'a [Arm],
    pub names: &'a [String],
    pub results: &'a Results,
}

impl Collector<'_> {
    pub(crate) fn rows(&self) -> Outcome<Rows> {
        let is = |wanted: fn(&Kind) -> bool| self.arms.iter().filter(move |arm| wanted(&arm.kind));
        let over = |name: &str, of: &dyn Fn(u64) -> Outcome<Option<SeedRow>>| -> Outcome<Row> {
            let seeds: Vec<Option<SeedRow>> =
                self.options.seeds.iter().map(|seed| of(*seed)).collect::<Outcome<_>>()?;
            Ok(Row { name: name.to_owned(), seeds: seeds.into_iter().flatten().collect() })
        };
        let alone: Vec<&Arm> = is(|kind| matches!(kind, Kind::Alone(_))).collect();
        let central: Vec<&Arm> = is(|kind| matches!(kind, Kind::Central(_))).collect();
        let federated: Vec<&Arm> = is(|kind| matches!(kind, Kind::Federated(_))).collect();
        let mut rows = Rows {
            base: Row::default(),
            alone: over("alone", &|seed| self.alone(seed, &alone))?,
            central: over("centralised", &|seed| self.central(seed, &central))?,
            rates: Vec::new(),
            federated: Vec::new(),
            best: Vec::new(),
        };
        if let Some(base) = is(|kind| matches!(kind, Kind::Base)).next() {
            rows.base = over("base", &|seed| self.whole(seed, base))?;
        }
        if self.options.measure == Measure::Validation {
            for arm in &alone {
                rows.rates
                    .push(over(&arm.name, &|seed| self.alone(seed, std::slice::from_ref(arm)))?);
            }
            for arm in &central {
                rows.rates.push(over(&arm.name, &|seed| self.whole(seed, arm))?);
            }
        }
        for arm in federated {
            rows.federated.push(over(&arm.name, &|seed| self.whole(seed, arm))?);
            let home: Vec<&Arm> = self
                .arms
                .iter()
                .filter(|other| matches!(&other.kind, Kind::Home { of, .. } if *of == arm.name))
                .collect();
            if !home.is_empty() {
                let name = format!("{}, best of each", arm.name);
                rows.best.push(over(&name, &|seed| self.best(seed, arm, &home, &alone))?);
            }
        }
        let found = |rows: Vec<Row>| rows.into_iter().filter(|row| !row.seeds.is_empty()).collect();
        rows.rates = found(rows.rates);
        rows.federated = found(rows.federated);
        rows.best = found(rows.best);
        Ok(rows)
    }

    fn get(&self, seed: u64, arm: &Arm, member: Option<&str>) -> Outcome<Option<Measured>> {
        let found = self.results.get(&Job { seed, arm, member })?;
        Ok(found.filter(|found| self.part(found).is_some()))
    }

    fn part<'m>(&self, measured: &'m Measured) -> Option<&'m Vec<MemberLosses>> {
        match self.options.measure {
            Measure::Validation => Some(&measured.validation),
            Measure::Test => measured.test.as_ref(),
        }
    }

    /// An arm that is trained for all members at once.
    fn whole(&self, seed: u64, arm: &Arm) -> Outcome<Option<SeedRow>> {
        self.get(seed, arm, None)?.map(|found| self.row(seed, &found)).transpose()
    }

    fn row(&self, seed: u64, found: &Measured) -> Outcome<SeedRow> {
        let members = self.part(found).into_iter().flatten().map(MemberLosses::losses);
        Ok(SeedRow {
            seed,
            members: members.collect::<Outcome<_>>()?,
            bytes: found.bytes(),
            chosen: Vec::new(),
            points: found.points.clone(),
            answers: add(None, found),
        })
    }

    fn central(&self, seed: u64, arms: &[&Arm]) -> Outcome<Option<SeedRow>> {
        let mut found = Vec::new();
        for arm in arms {
            found.extend(self.get(seed, arm, None)?);
        }
        smallest(&found).map(|best| self.row(seed, best)).transpose()
    }

    fn alone(&self, seed: u64, arms: &[&Arm]) -> Outcome<Option<SeedRow>> {
        let mut row = SeedRow {
            seed,
            members: Vec::new(),
            bytes: 0,
            chosen: Vec::new(),
            points: Vec::new(),
            answers: None,
        };
        for name in self.names {
            let Some(best) = self.best_at(seed, arms, name)? else { return Ok(None) };
            self.take(&mut row, &best)?;
        }
        Ok(Some(row))
    }

    /// Adds one member's result to a row.
    fn take(&self, row: &mut SeedRow, found: &Measured) -> Outcome<()> {
        let losses = self.part(found).and_then(|part| part.first()).ok_or("no losses")?;
        row.members.push(losses.losses()?);
        row.answers = add(row.answers, found);
        Ok(())
    }

    /// The result at a member that its validation part says is best.
    fn best_at(&self, seed: u64, arms: &[&Arm], name: &str) -> Outcome<Option<Measured>> {
        let mut found = Vec::new();
        for arm in arms {
            found.extend(self.get(seed, arm, Some(name))?);
        }
        Ok(smallest(&found).cloned())
    }

    /// The rule of the product: the common adapter, unless another is better on the validation part
    /// by more than the standard error of the difference.
    fn best(
        &self,
        seed: u64,
        common: &Arm,
        home: &[&Arm],
        alone: &[&Arm],
    ) -> Outcome<Option<SeedRow>> {
        let Some(common) = self.get(seed, common, None)? else { return Ok(None) };
        let mut row = SeedRow { members: Vec::new(), answers: None, ..self.row(seed, &common)? };
        for (index, name) in self.names.iter().enumerate() {
            let (Some(at_home), Some(by_itself)) =
                (self.best_at(seed, home, name)?, self.best_at(seed, alone, name)?)
            else {
                return Ok(None);
            };
            let mut here = common.clone();
            here.validation = only(here.validation, index);
            here.test = here.test.map(|all| only(all, index));
            here.answers = here.answers.map(|all| only(all, index));
            let mut best = (Chosen::Common, &here);
            for (kind, other) in [(Chosen::Home, &at_home), (Chosen::Alone, &by_itself)] {
                let is_surely_better = is_surely_better(other, &here)?;
                if is_surely_better && other.validation_loss() < best.1.validation_loss() {
                    best = (kind, other);
                }
            }
            row.chosen.push(best.0);
            self.take(&mut row, best.1)?;
        }
        Ok(Some(row))
    }
}

fn is_surely_better(other: &Measured, common: &Measured) -> Outcome<bool> {
    let (Some(common), Some(other)) = (common.validation.first(), other.validation.first()) else {
        return Ok(false);
    };
    let difference = PairedDifference::of(&common.losses()?, &other.losses()?);
    Ok(difference.is_some_and(|it| it.mean > it.standard_error))
}

fn smallest(found: &[Measured]) -> Option<&Measured> {
    found.iter().min_by(|a, b| a.validation_loss().total_cmp(&b.validation_loss()))
}

fn add(sum: Option<(f64, f64, f64)>, found: &Measured) -> Option<(f64, f64, f64)> {
    let (mut exact, mut f1, mut count) = sum.unwrap_or_default();
    for (is_exact, one) in found.answers.iter().flatten().flat_map(|member| &member.each) {
        exact += f64::from(u8::from(*is_exact));
        f1 += one;
        count += 1.0;
    }
    (count > 0.0).then_some((exact, f1, count))
}

/// The part of member `index` alone.
fn only<T>(all: Vec<T>, index: usize) -> Vec<T> {
    all.into_iter().skip(index).take(1).collect()
}
