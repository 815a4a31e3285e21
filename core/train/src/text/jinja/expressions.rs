//! Jinja's expressions, translated into those of minijinja.
//!
//! minijinja reads almost the same language, but it compares, slices, concatenates and iterates
//! over what Python refuses, and differs in a few texts. Here an expression is parsed by the grammar of
//! `jinja2.parser` and written down again with full parentheses; the operators that differ become
//! calls of functions in [`super::operators`]. What has another meaning there is refused by name.

use super::operators as op;
use super::parser::{Parser, Written};
use super::tokens::Token;

/// Deepest nesting of an expression: each level is a frame of the call stack.
const MOST_DEPTH: usize = 60;
impl Parser {
    /// An expression, or several with commas between them, which are a tuple.
    pub(super) fn tuple(&mut self, with_condition: bool) -> Written {
        let mut items = Vec::new();
        let mut is_tuple = false;
        while !self.is_at_end() && !self.is_sign(")") {
            items.push(if with_condition { self.expression()? } else { self.or()? });
            match self.sign(",") {
                true => is_tuple = true,
                false => break,
            }
        }
        match (items.as_slice(), is_tuple) {
            ([one], false) => Ok(one.clone()),
            ([], _) => Err(format!("{} where a value is expected", self.next_shown())),
            ([one], true) => Ok(format!("({one},)")),
            (all, _) => Ok(format!("({})", all.join(", "))),
        }
    }

    pub(super) fn expression(&mut self) -> Written {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err("an expression that is nested too deeply".to_owned());
        }
        let mut value = self.or()?;
        while self.word("if") {
            let condition = self.or()?;
            value = match self.word("else") {
                true => format!("({value} if {condition} else {})", self.expression()?),
                false => format!("({value} if {condition})"),
            };
        }
        self.depth -= 1;
        Ok(value)
    }

    fn or(&mut self) -> Written {
        let mut value = self.and()?;
        while self.word("or") {
            value = format!("({value} or {})", self.and()?);
        }
        Ok(value)
    }

    fn and(&mut self) -> Written {
        let mut value = self.not()?;
        while self.word("and") {
            value = format!("({value} and {})", self.not()?);
        }
        Ok(value)
    }

    fn not(&mut self) -> Written {
        let mut count = 0;
        while self.word("not") {
            count += 1;
        }
        let value = self.comparison()?;
        Ok((0..count.min(MOST_DEPTH)).fold(value, |value, _| format!("(not {value})")))
    }

    fn comparison(&mut self) -> Written {
        let mut left = self.sum()?;
        let mut links = Vec::new();
        loop {
            let sign = ["==", "!=", "<=", ">=", "<", ">"].into_iter().find(|s| self.is_sign(s));
            let negated = self.is_name("not")
                && matches!(self.tokens.get(self.at + 1), Some(Token::Name(n)) if n == "in");
            let is_in = negated || self.is_name("in");
            self.at += usize::from(sign.is_some()) + usize::from(is_in) + usize::from(negated);
            if sign.is_none() && !is_in {
                break;
            }
            let right = self.sum()?;
            links.push(match sign {
                Some("==") => format!("{}({left}, {right})", op::EQUAL),
                Some("!=") => format!("(not {}({left}, {right}))", op::EQUAL),
                Some(sign) => format!("{}('{sign}', {left}, {right})", op::COMPARE),
                None if negated => format!("(not {}({left}, {right}))", op::CONTAINED),
                None => format!("{}({left}, {right})", op::CONTAINED),
            });
            left = right;
        }
        Ok(match links.as_slice() {
            [] => left,
            [one] => one.clone(),
            all => format!("({})", all.join(" and ")),
        })
    }

    fn sum(&mut self) -> Written {
        let mut value = self.concatenation()?;
        while let Some(sign) = ["+", "-"].into_iter().find(|sign| self.is_sign(sign)) {
            self.at += 1;
            let right = self.concatenation()?;
            value = match sign {
                "+" => format!("{}({value}, {right})", op::SUM),
                _ => format!("({}({value}) - {}({right}))", op::PLAIN, op::PLAIN),
            };
        }
        Ok(value)
    }

    fn concatenation(&mut self) -> Written {
        let mut value = self.product()?;
        while self.sign("~") {
            value = format!("{}({value}, {})", op::CONCAT, self.product()?);
        }
        Ok(value)
    }

    fn product(&mut self) -> Written {
        let mut value = self.power()?;
        while let Some(sign) = ["*", "//", "/", "%"].into_iter().find(|sign| self.is_sign(sign)) {
            self.at += 1;
            value = format!("({value} {sign} {})", self.power()?);
        }
        Ok(value)
    }

    fn power(&mut self) -> Written {
        let mut value = self.unary(true)?;
        while self.sign("**") {
            value = format!("{}({value} ** {})", op::REAL, self.unary(true)?);
        }
        Ok(value)
    }

    /// A value with signs before it and, if `filtered`, filters and tests behind it.
    pub(super) fn unary(&mut self, filtered: bool) -> Written {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err("an expression that is nested too deeply".to_owned());
        }
        let value = if self.sign("-") {
            format!("(-{})", self.unary(false)?)
        } else if self.sign("+") {
            format!("{}({})", op::PLUS, self.unary(false)?)
        } else {
            self.primary()?
        };
        let value = self.postfix(value)?;
        self.depth -= 1;
        if filtered { self.filters(value) } else { Ok(value) }
    }
}
