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

// Remover removes what is kept of links that are being deleted.
type Remover struct{ Rows store.Rows }

// Remove removes the settings and the apps of a link, for link.Deps.Removed. What was granted ended when
// the link was marked.
func (r Remover) Remove(ctx context.Context, l link.Link) error {
	var settings Settings
	row, err := r.Rows.Row(ctx, settingsKey(string(l.Slug)))
	if err == nil {
		err = decode(row, &settings)
	}
	if err == nil && settings.LinkID == l.ID {
		err = r.removeAll(ctx, []store.Row{row})
	}
	for err == nil {
		var apps []store.Row
		apps, err = r.Rows.List(ctx, partition(string(l.Slug)), appPrefix(l), "", maxApps)
		if len(apps) == 0 {
			return err
		}
		err = r.removeAll(ctx, apps)
	}
	return err
}

func (r Remover) removeAll(ctx context.Context, rows []store.Row) error {
	for _, row := range rows {
		for {
			gone, err := r.Rows.Remove(ctx, row)
			if err != nil {
				return err
			}
			if gone {
				break
			}
			if row, err = r.Rows.Row(ctx, row.Key); err != nil { // a change that had begun before
				return err
			}
		}
	}
	return nil
}
