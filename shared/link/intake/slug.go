package intake

import (
	"regexp"
	"strings"

	"fhirlink/shared/problem"
)

var slugSyntax = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])$`)

var reservedSlugs = map[string]bool{
	"api": true, "admin": true, "app": true, "directory": true, "fhir": true, "functions": true,
	"health": true, "links": true, "metadata": true, "runtime": true, "smart": true, "www": true,
}

// Slug checks a slug; the mistake is nil when it is good.
func Slug(s string) (string, *problem.Field) {
	switch {
	case s == "":
		return "", required("slug", "Choose the customized URL of the link, e.g. good-health-clinic.")
	case !slugSyntax.MatchString(s) || strings.Contains(s, "--"):
		return "", &problem.Field{
			Field: "slug", Code: "slug_syntax",
			Message: "A slug has 3 to 63 characters, only a-z, 0-9 and single hyphens, and a letter or digit at both ends.",
			Fix:     "Write it in lower case with hyphens between words, e.g. good-health-clinic.",
		}
	case reservedSlugs[s] || isResourceType(s):
		return "", &problem.Field{
			Field: "slug", Code: "slug_reserved",
			Message: "The slug " + s + " is reserved, because it is a word of this service or the name of a FHIR resource type.",
			Fix:     "Choose another one, e.g. " + s + "-clinic.",
		}
	}
	return s, nil
}

func required(field, fix string) *problem.Field {
	return &problem.Field{Field: field, Code: "required", Message: "The field " + field + " is required.", Fix: fix}
}
