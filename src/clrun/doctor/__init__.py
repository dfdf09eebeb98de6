"""What went wrong in a run, named from the files of its folder; or whether clrun itself is well."""
