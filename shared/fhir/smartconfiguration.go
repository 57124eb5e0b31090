package fhir

import (
	"encoding/json"
	"errors"
)

// SMARTConfiguration is the part of .well-known/smart-configuration that linking needs (SMART App
// Launch 2.2 §7).
type SMARTConfiguration struct {
	Authorize string `json:"authorization_endpoint"`
	Token     string `json:"token_endpoint"`
}

func parseSMARTConfiguration(body []byte) (SMARTConfiguration, error) {
	var c SMARTConfiguration
	if json.Unmarshal(body, &c) != nil {
		return SMARTConfiguration{}, errors.New("not a SMART configuration")
	}
	if len(c.Authorize) > maxText || len(c.Token) > maxText {
		return SMARTConfiguration{}, errors.New("a URL that is too long")
	}
	return c, nil
}
