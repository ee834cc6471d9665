pub fn tests() -> Vec<crate::support::Trial> {
    vec![]
}
