package translatescope

import (
	"errors"

	"fhirlink/shared/problem"
	"fhirlink/shared/smart"
)

const (
	encode  = "encode"
	decode  = "decode"
	convert = "convert"
)

// job is a request whose settings are valid.
type job struct {
	direction string
	from      *smart.Translator // for a conversion only
	to        *smart.Translator // otherwise the only translator
}

func (j job) run(scopes []string) smart.Results {
	switch j.direction {
	case decode:
		return j.to.DecodeAll(scopes)
	case convert:
		return smart.Conversion{From: j.from, To: j.to}.All(scopes)
	}
	return j.to.EncodeAll(scopes)
}

func (j job) answer(results smart.Results, artefacts bool) answer {
	a := answer{Direction: j.direction, Dialect: j.to.Dialect(), Separator: j.to.Separator().String(), Scope: results.Scope(), Registrable: results.Registrable(), Results: results}
	if j.direction == convert {
		a.From, a.FromSeparator, a.To = j.from.Dialect(), j.from.Separator().String(), j.to.Dialect()
	}
	if artefacts {
		made := j.to.Artefacts(results)
		a.Artefacts = &made
	}
	return a
}

// job checks everything except the scopes themselves, and reports all mistakes together.
func (in request) job(setting smart.Aliases) (job, error) {
	c := &checker{}
	c.add(in.checkScopes()...)
	aliases, err := setting.With(in.Aliases)
	c.mistakes(err, nil)
	var j job
	if in.From == nil && in.To == nil {
		j = in.single(c, aliases)
	} else {
		j = in.conversion(c, aliases)
	}
	if c.fields != nil {
		return job{}, problem.Invalid(c.fields...)
	}
	return j, nil
}

func (in request) single(c *checker, aliases smart.Aliases) job {
	j := job{direction: encode}
	if in.Direction != nil {
		j.direction = *in.Direction
	}
	if j.direction != encode && j.direction != decode {
		c.add(field("direction", "unknown_direction", "There is no such direction.", "Use encode or decode; to convert, send from and to without direction."))
	}
	if in.FromSeparator != nil {
		c.add(field("fromSeparator", "not_used", "It belongs to a conversion.", "Send separator, or from and to."))
	}
	if in.FromResource != nil {
		c.add(field("fromResource", "not_used", "It belongs to a conversion.", "Send resource, or from and to."))
	}
	j.to = c.translator(side{in.Dialect, in.Separator, c.resource(in.Resource)}, aliases, nil)
	return j
}

// conversion applies separator to the side that is firely, and to "to" if both are. resource is
// the prefix on both sides unless fromResource says otherwise.
func (in request) conversion(c *checker, aliases smart.Aliases) job {
	if in.From == nil || in.To == nil {
		c.add(field("to", "required", "A conversion needs both from and to.", "Send both, or dialect and direction instead."))
		return job{}
	}
	if in.Direction != nil {
		c.add(field("direction", "not_used", "A conversion has no direction.", "Leave direction out, or from and to."))
	}
	if in.Dialect != nil {
		c.add(field("dialect", "not_used", "A conversion names its dialects by from and to.", "Leave dialect out, or from and to."))
	}
	resource := c.resource(in.Resource)
	from, to := side{in.From, in.FromSeparator, resource}, side{in.To, in.Separator, resource}
	if in.FromResource != nil {
		from.resource = *in.FromResource
	}
	if *in.To != string(smart.Firely) && *in.From == string(smart.Firely) && from.separator == nil {
		from.separator, to.separator = in.Separator, nil
	}
	return job{
		direction: convert,
		from:      c.translator(from, aliases, map[string]string{"dialect": "from", "separator": "fromSeparator", "resource": "fromResource"}),
		to:        c.translator(to, aliases, map[string]string{"dialect": "to"}),
	}
}

// side holds the request's options for one translator.
type side struct {
	dialect, separator *string
	resource           string
}

// checker collects mistakes.
type checker struct{ fields []problem.Field }

func (c *checker) add(f ...problem.Field) { c.fields = append(c.fields, f...) }

// mistakes adds the mistakes that package smart found, renamed to the fields of the request.
func (c *checker) mistakes(err error, rename map[string]string) {
	found, _ := errors.AsType[smart.Mistakes](err)
	for _, m := range found {
		name := m.Field
		if other, ok := rename[name]; ok {
			name = other
		}
		c.add(field(name, m.Code, m.Message, m.Fix))
	}
}

func (c *checker) resource(given *string) string {
	if given == nil {
		return ""
	}
	if *given == "" {
		c.add(field("resource", "empty", "The resource is empty.", "Leave it out, or send the App ID URI or client id to put before the scopes."))
	}
	return *given
}

func (c *checker) translator(s side, aliases smart.Aliases, rename map[string]string) *smart.Translator {
	o := smart.Options{Resource: s.resource, Aliases: aliases}
	var found smart.Mistakes
	if s.dialect != nil {
		d, err := smart.ParseDialect(*s.dialect)
		found = append(found, asMistakes("dialect", err)...)
		o.Dialect = d
	}
	if s.separator != nil {
		sep, err := smart.ParseSeparator(*s.separator)
		found = append(found, asMistakes("separator", err)...)
		o.Separator = sep
	}
	t, err := smart.New(o)
	if more, ok := errors.AsType[smart.Mistakes](err); ok {
		found = append(found, more...)
	}
	if found != nil {
		c.mistakes(found, rename)
	}
	return t
}

func asMistakes(field string, err error) smart.Mistakes {
	r, ok := errors.AsType[*smart.Refusal](err)
	if !ok {
		return nil
	}
	return smart.Mistakes{{Field: field, Advice: smart.Advice(*r)}}
}

func field(name, code, message, fix string) problem.Field {
	return problem.Field{Field: name, Code: code, Message: message, Fix: fix}
}
