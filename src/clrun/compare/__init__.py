"""Methods compared by the runs that both have: which differs, by how much, and how sure that is.

`compared_groups` reads folders; `judged` compares numbers. Without torch.
"""
