package smartauth

import (
	"context"

	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

// LinksOf returns what SMART authorization needs of the links of a service, whose rows get reads.
func LinksOf(links *link.Service, get func(context.Context, link.Slug) (link.Link, error)) Links {
	return linksOf{links, get}
}

type linksOf struct {
	*link.Service
	get func(context.Context, link.Slug) (link.Link, error)
}

// Live implements [Links].
func (l linksOf) Live(ctx context.Context, slug string) (link.Link, error) {
	return l.ForTokens(ctx, l.get, "", true, slug)
}

// removeAll removes a row, whoever else changes it meanwhile.
func (s *Service) removeAll(ctx context.Context, row store.Row) error {
	for {
		gone, err := s.Rows.Remove(ctx, row)
		if err != nil || gone {
			return err
		}
		if row, err = s.Rows.Row(ctx, row.Key); err != nil { // a change that had begun before
			return err
		}
	}
}
