//! A truth value from C. Rust's `bool` holds 0 or 1 and nothing else, on pain of undefined behaviour; what a caller or a callback leaves in a register is up to
//! it. So it is read as a number. The header says `bool`.

#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct c_bool(u8);

impl c_bool {
    pub fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for c_bool {
    fn from(value: bool) -> c_bool {
        c_bool(value.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_zero_is_true() {
        assert!(!c_bool(0).get());
        assert!([1, 2, 128, 255].into_iter().all(|value| c_bool(value).get()));
    }

    /// What is read from C as `bool` would not be checked by anybody.
    #[test]
    fn no_function_takes_a_bool() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/capi");
        for file in [folder.clone(), folder.join("h1")].iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
            let path = file.unwrap().path();
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            for function in text.split("extern \"C\" fn ").skip(1) {
                let parameters = function.split_once(')').map_or("", |(parameters, _)| parameters);
                assert!(!parameters.contains(": bool"), "{}: {function:.60}", path.display());
            }
            let callback = ["*mut c_void)", " -> bool"].concat();
            assert!(!text.contains(&callback), "{}: a callback", path.display());
        }
    }
}
