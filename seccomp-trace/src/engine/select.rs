//! Which containers are meant: `--container`, `--pod`, `--image`, `--label` and `--all`, united, without what `--exclude`
//! takes away. Pure: judged by what an engine says of a container, and by nothing else.

use std::fmt;

use crate::recording::{Container, Pod};

mod pattern;
mod suggest;
pub use pattern::{Pattern, PatternError, SHORTEST_ID};
pub use suggest::{suggest, suggest_containers};

/// A label: its key and, where asked for, its value. Both exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    key: String,
    value: Option<String>,
}

/// What is left out.
#[derive(Clone, Debug)]
enum Exclude {
    /// By its name.
    Name(Pattern),
    /// By a label.
    Label(Label),
}

/// What an exclude begins with that is a label. No container's name has a colon.
const LABEL: &str = "label:";

/// The containers that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    containers: Vec<Pattern>,
    images: Vec<Pattern>,
    labels: Vec<Label>,
    pods: Vec<Pattern>,
    all: bool,
    excludes: Vec<Exclude>,
}

/// One thing that was asked for. Displays as it was typed: `--container web*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term<'a> {
    /// The option.
    pub option: &'static str,
    /// Its value: as typed, thus to be sanitised.
    pub text: &'a str,
    /// What a label must be, where one was given.
    pub value: Option<&'a str>,
    /// True where it may match later containers as well: everything but one container's name or id.
    pub open: bool,
}

impl Label {
    /// Reads `KEY` or `KEY=VALUE`.
    fn parse(option: &'static str, text: &str) -> Result<Self, PatternError> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() {
            return Err(PatternError::Empty(option));
        }
        Ok(Self { key: key.to_owned(), value })
    }
}

impl Exclude {
    /// Reads what was given to `--exclude`.
    fn parse(text: &str) -> Result<Self, PatternError> {
        if let Some(label) = text.strip_prefix(LABEL) {
            return Label::parse("the key of --exclude label:KEY", label).map(Self::Label);
        }
        if text.contains(['=', ':']) {
            return Err(PatternError::NoName(text.to_owned()));
        }
        Pattern::parse("--exclude", text.strip_prefix('/').unwrap_or(text)).map(Self::Name)
    }
}

impl fmt::Display for Term<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.option, self.text)?;
        self.value.map_or(Ok(()), |value| write!(formatter, "={value}"))
    }
}

impl Selector {
    /// Reads the options' values.
    ///
    /// - `--container`: a name, an id, the beginning of an id (4 digits or more), or a glob over names.
    /// - `--image`: an image or a glob over images. Both sides are compared in Docker's short form
    ///   (`docker.io/library/nginx` is `nginx`); what names no tag or digest matches each, so `nginx`
    ///   matches `nginx:1.27`, and `nginx:latest` matches `nginx`. `*` also matches `/`. A whole digest
    ///   (`sha256:…`; of an image that was never pulled, its id) matches too.
    /// - `--label`: `KEY`, or `KEY=VALUE`, both exact.
    ///
    /// The error names the first that can't be used.
    pub fn parse<S: AsRef<str>>(
        containers: &[S],
        images: &[S],
        labels: &[S],
        all: bool,
    ) -> Result<Self, PatternError> {
        let container = |text: &S| {
            let text = text.as_ref();
            Pattern::parse("--container", text.strip_prefix('/').unwrap_or(text))
        };
        let image = |text: &S| Pattern::parse("--image", short(text.as_ref()));
        let label = |text: &S| Label::parse("--label's key", text.as_ref());
        Ok(Self {
            containers: containers.iter().map(container).collect::<Result<_, _>>()?,
            images: images.iter().map(image).collect::<Result<_, _>>()?,
            labels: labels.iter().map(label).collect::<Result<_, _>>()?,
            pods: Vec::new(),
            all,
            excludes: Vec::new(),
        })
    }

    /// And the containers of pods: `NAMESPACE/NAME`, or a name of any namespace (Podman's pods have none), or a glob.
    ///
    /// The error names the first that can't be used.
    pub fn with_pods<S: AsRef<str>>(mut self, pods: &[S]) -> Result<Self, PatternError> {
        let pod = |text: &S| Pattern::parse("--pod", text.as_ref());
        self.pods = pods.iter().map(pod).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// And without some of them: `NAME`, a glob over names, `label:KEY` or `label:KEY=VALUE`.
    ///
    /// The error names the first that can't be used; or all, where they leave nothing.
    pub fn without<S: AsRef<str>>(mut self, excludes: &[S]) -> Result<Self, PatternError> {
        self.excludes =
            excludes.iter().map(|text| Exclude::parse(text.as_ref())).collect::<Result<_, _>>()?;
        let asked = self.unmatched(&[]);
        if excludes.is_empty() || (self.all && !self.takes_all()) {
            return Ok(self);
        }
        if asked.is_empty() && !self.all {
            return Err(PatternError::NothingToExclude);
        }
        if asked.iter().all(|term| self.takes_away(term)) {
            let mut asked: Vec<_> = asked.iter().map(ToString::to_string).collect();
            asked.extend(self.all.then(|| "--all".to_owned()));
            let excludes = excludes.iter().map(|text| format!("--exclude {}", text.as_ref()));
            return Err(PatternError::ExcludesAll {
                excludes: excludes.collect::<Vec<_>>().join(", "),
                asked: asked.join(", "),
            });
        }
        Ok(self)
    }

    /// Does one of the excludes match every container?
    fn takes_all(&self) -> bool {
        self.excludes.iter().any(|exclude| {
            matches!(exclude, Exclude::Name(pattern) if pattern.as_str().bytes().all(|byte| byte == b'*'))
        })
    }

    /// Is nothing left of what this asks for, whatever containers there are?
    fn takes_away(&self, term: &Term<'_>) -> bool {
        let takes = |exclude: &Exclude| match exclude {
            Exclude::Name(pattern) if term.option == "--container" => {
                pattern.as_str() == term.text || (!term.open && pattern.is_match(term.text))
            }
            Exclude::Label(label) if term.option == "--label" => {
                label.key == term.text && label.value.as_deref().is_none_or(|value| Some(value) == term.value)
            }
            _ => false,
        };
        self.takes_all() || self.excludes.iter().any(takes)
    }

    /// True where a container is left out, whatever asks for it.
    pub fn excludes(&self, container: &Container) -> bool {
        self.excludes.iter().any(|exclude| match exclude {
            Exclude::Name(pattern) => pattern.is_match(&container.name),
            Exclude::Label(label) => is_label(label, container),
        })
    }

    /// True where no engine has to be asked: nothing was given.
    pub fn is_empty(&self) -> bool {
        let Self { containers, images, labels, pods, all, excludes: _ } = self;
        !all && containers.is_empty() && images.is_empty() && labels.is_empty() && pods.is_empty()
    }

    /// True where containers may match that don't exist yet: `--all`, an image, a label, a glob.
    pub fn is_open(&self) -> bool {
        self.all
            || !self.images.is_empty()
            || !self.labels.is_empty()
            || self.containers.iter().chain(&self.pods).any(Pattern::is_glob)
    }

    /// True where every container is asked for.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// True where what an engine's event says of a container does not decide: it tells no image's digest.
    pub fn needs_description(&self) -> bool {
        self.images.iter().any(|image| image.as_str().contains("sha256:"))
    }

    /// True where one of the things asked for is this container.
    pub fn matches(&self, container: &Container) -> bool {
        self.all
            || self.containers.iter().any(|pattern| is_container(pattern, container))
            || self.images.iter().any(|pattern| is_image(pattern, container))
            || self.labels.iter().any(|label| is_label(label, container))
            || self.pods.iter().any(|pattern| is_in_pod(pattern, container))
    }

    /// True where a container is asked for by its own name or id, without a glob.
    pub fn names(&self, container: &Container) -> bool {
        self.containers.iter().any(|pattern| !pattern.is_glob() && is_container(pattern, container))
    }

    /// What none of these containers is: still to be waited for, or a mistake. `--all` is never missing.
    pub fn unmatched<'a>(&'a self, among: &[&Container]) -> Vec<Term<'a>> {
        fn missing<'a, T>(
            asked: &'a [T],
            among: &[&Container],
            is: fn(&T, &Container) -> bool,
        ) -> impl Iterator<Item = &'a T> {
            asked.iter().filter(move |one| !among.iter().any(|container| is(one, container)))
        }
        let term = |option, text, open| Term { option, text, value: None, open };
        let containers = missing(&self.containers, among, is_container)
            .map(|pattern| term("--container", pattern.as_str(), pattern.is_glob()));
        let images =
            missing(&self.images, among, is_image).map(|pattern| term("--image", pattern.as_str(), true));
        let labels = missing(&self.labels, among, is_label)
            .map(|label| Term { value: label.value.as_deref(), ..term("--label", &label.key, true) });
        let pods = missing(&self.pods, among, is_in_pod)
            .map(|pattern| term("--pod", pattern.as_str(), pattern.is_glob()));
        containers.chain(pods).chain(images).chain(labels).collect()
    }
}

fn is_container(pattern: &Pattern, container: &Container) -> bool {
    pattern.is_match(&container.name) || pattern.is_id_of(&container.id)
}

fn is_in_pod(pattern: &Pattern, container: &Container) -> bool {
    let is_pod = |pod: &Pod| match pattern.as_str().contains('/') {
        true => pattern.is_match(&pod.to_string()),
        false => pattern.is_match(&pod.name),
    };
    container.pod.as_ref().is_some_and(is_pod)
}

fn is_image(pattern: &Pattern, container: &Container) -> bool {
    let is_digest = container.image_digest.as_deref() == Some(pattern.as_str());
    is_digest || container.image.as_deref().is_some_and(|image| is_reference(pattern, short(image)))
}

fn is_label(label: &Label, container: &Container) -> bool {
    container
        .labels
        .get(&label.key)
        .is_some_and(|value| label.value.as_ref().is_none_or(|wanted| wanted == value))
}

/// A reference in full, without its digest, without its tag, and with the tag that Docker takes.
fn is_reference(pattern: &Pattern, image: &str) -> bool {
    let tagged = image.split_once('@').map_or(image, |(name, _)| name);
    // A registry's port stands before a slash: `localhost:5000/app` has no tag.
    let name = match tagged.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => tagged,
    };
    pattern.is_match(image)
        || pattern.is_match(tagged)
        || pattern.is_match(name)
        || (name == image && pattern.is_match(&format!("{image}:latest")))
}

/// Docker's short form of a reference: its own registry and the official images go without a prefix; likewise
/// what Podman calls images that were made here.
fn short(image: &str) -> &str {
    if let Some(path) = image.strip_prefix("localhost/") {
        return path;
    }
    let path = image.strip_prefix("index.").unwrap_or(image).strip_prefix("docker.io/");
    path.map_or(image, |path| path.strip_prefix("library/").unwrap_or(path))
}

#[cfg(test)]
mod tests;
