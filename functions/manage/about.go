package manage

import (
	"net/http"

	"fhirlink/functions/manage/view"
)

type aboutBody struct {
	Version, Program string
	SignIn           bool
}

func (h *Handler) about(w http.ResponseWriter, r *http.Request, v Visitor) error {
	return h.view.Write(w, r, view.Page{
		Template: "about", Heading: h.view.Words(r).Text("About"), Nav: "About", Account: account(v),
		Body: aboutBody{h.Service.Version, h.Program, h.SignIn != nil}, Public: true,
	})
}
