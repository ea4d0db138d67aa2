//! Closed sets of label values.

/// Declares an enum with `ALL`, in the order of its variants, and `name`, the value of a label.
macro_rules! labels {
    (
        $(#[$meta:meta])*
        pub enum $Name:ident { $($(#[$doc:meta])* $Variant:ident = $label:literal,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $Name {
            $($(#[$doc])* $Variant,)+
        }

        impl $Name {
            /// All of them, in the order in which they are listed.
            pub const ALL: [Self; [$($label),+].len()] = [$(Self::$Variant),+];

            /// The label value.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant => $label,)+
                }
            }
        }
    };
}
