"""Access control for uploads and removals: rights, owners of projects, and the policy that combines them."""
