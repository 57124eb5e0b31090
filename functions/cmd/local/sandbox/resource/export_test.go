package resource

// Records are all that a healthy server has.
func Records() []Resource { return records }
