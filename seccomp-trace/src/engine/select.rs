//! Which containers are meant: `--container`, `--pod`, `--image`, `--label` and `--all`, united. Pure: judged by
//! what an engine says of a container, and by nothing else.

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

/// The containers that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    containers: Vec<Pattern>,
    images: Vec<Pattern>,
    labels: Vec<Label>,
    pods: Vec<Pattern>,
    all: bool,
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
        let label = |text: &S| match text.as_ref().split_once('=') {
            Some(("", _)) => Err(PatternError::Empty("--label's key")),
            Some((key, value)) => Ok(Label { key: key.to_owned(), value: Some(value.to_owned()) }),
            None if text.as_ref().is_empty() => Err(PatternError::Empty("--label")),
            None => Ok(Label { key: text.as_ref().to_owned(), value: None }),
        };
        Ok(Self {
            containers: containers.iter().map(container).collect::<Result<_, _>>()?,
            images: images.iter().map(image).collect::<Result<_, _>>()?,
            labels: labels.iter().map(label).collect::<Result<_, _>>()?,
            pods: Vec::new(),
            all,
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

    /// True where no engine has to be asked: nothing was given.
    pub fn is_empty(&self) -> bool {
        let Self { containers, images, labels, pods, all } = self;
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
