package view

import (
	"fhirlink/shared/problem"
	"fhirlink/shared/signin"
)

// SignInFailures are the answers that are no good, whatever Entra says.
var SignInFailures = map[signin.Kind]struct {
	Code          problem.Code
	Heading, Text English
}{
	signin.ClockOff: {
		Code: problem.Unauthenticated, Heading: "The clock of this service is wrong",
		Text: "Microsoft's answer is not valid at this time, as this service counts it. Whoever runs the service sets its clock; tell them.",
	},
	signin.TokenRefused: {
		Code: problem.Unauthenticated, Heading: "Microsoft's answer could not be accepted",
		Text: "It does not belong to this sign-in, or not to this service. Sign in again. If it stays so, tell whoever runs this service.",
	},
	signin.TooLate: {
		Code: problem.Unauthenticated, Heading: "The sign-in took too long",
		Text: "More than half an hour has passed since it began. Sign in again.",
	},
	signin.UnknownState: {
		Code: problem.Unauthenticated, Heading: "This sign-in did not begin here",
		Text: "It was answered before, or it began in another browser, or too many were begun at once. Sign in again.",
	},
	signin.NoCookie: {
		Code: problem.Unauthenticated, Heading: "Your browser refuses our cookie",
		Text: "Let it keep cookies of this site, and sign in again. If you only went back to this page, go on to the FHIR servers.",
	},
	signin.Malformed: {
		Code: problem.MalformedBody, Heading: "This is no answer of Microsoft Entra",
		Text: "This page takes Microsoft's answer to a sign-in, and nothing else. Sign in again.",
	},
}

// Way is a link that helps after a refusal.
type Way int

// The ways.
const (
	Again Way = iota
	Approve
	AnotherAccount
	AnotherOrganization
)

// SignInRefusals say what Entra's refusals mean, and what to do.
var SignInRefusals = map[signin.Code]struct {
	Heading, Text English
	Ways          []Way
}{
	signin.IDTokensOff: {
		Heading: "This service is not set up for sign-in yet",
		Text:    "Whoever runs it switches on ID tokens in the app registration: Microsoft Entra admin center > App registrations > this service > Authentication > Settings > ID tokens. The script register-api.sh --page does it, too.",
		Ways:    []Way{Again},
	},
	signin.RedirectUnknown: {
		Heading: "This service is not set up for sign-in here yet",
		Text:    "Whoever runs it adds the addresses of these pages to the app registration: Microsoft Entra admin center > App registrations > this service > Authentication > Redirect URIs (Web). The script register-api.sh --page does it, too.",
		Ways:    []Way{Again},
	},
	signin.ApplicationUnknown: {
		Heading: "Your organization has not approved this app yet",
		Text:    "A Microsoft Entra administrator of your organization approves it once, for everybody. If it was approved, whoever runs this service checks the client ID in FHIRLINK_API_AUDIENCE.",
		Ways:    []Way{Approve, AnotherOrganization},
	},
	signin.ApplicationOff: {
		Heading: "This app is switched off in your organization",
		Text:    "An administrator of your organization switches it on: Microsoft Entra admin center > Enterprise apps > this app > Properties > Enabled for users to sign in.",
		Ways:    []Way{Again},
	},
	signin.ConsentMissing: {
		Heading: "Your organization has not approved this app yet",
		Text:    "A Microsoft Entra administrator of your organization approves it once, for everybody. Send them the address behind the first button, if you are not one.",
		Ways:    []Way{Approve, Again},
	},
	signin.NotAssigned: {
		Heading: "You are not assigned to this app yet",
		Text:    "An administrator of your organization assigns you the role Link administrator: Microsoft Entra admin center > Enterprise apps > this app > Users and groups > Add user/group.",
		Ways:    []Way{Again, AnotherAccount},
	},
	signin.Policy: {
		Heading: "A rule of your organization stops this sign-in",
		Text:    "It is a Conditional Access policy of Microsoft Entra. Send the number below to your administrator, or use another device, network or account.",
		Ways:    []Way{Again, AnotherAccount},
	},
	signin.Declined: {
		Heading: "You did not let this app know who you are",
		Text:    "Nothing was done. Sign in again, and accept when Microsoft asks.",
		Ways:    []Way{Again},
	},
	signin.AccountUnknown: {
		Heading: "Your account is not known there",
		Text:    "The account and the organization do not belong together. Use another account, or ask the organization to invite this one as a guest.",
		Ways:    []Way{AnotherAccount, AnotherOrganization},
	},
	signin.AccountBlocked: {
		Heading: "Your account is locked or switched off",
		Text:    "An administrator of your organization can say why. Until then, use another account.",
		Ways:    []Way{AnotherAccount, Again},
	},
	signin.OrganizationUnknown: {
		Heading: "Microsoft Entra knows no such organization",
		Text:    "Check the tenant ID or the domain.",
		Ways:    []Way{AnotherOrganization, Again},
	},
	signin.LoginRequired: {
		Heading: "Microsoft wants to ask you something first",
		Text:    "Sign in again, and answer what Microsoft asks.",
		Ways:    []Way{Again},
	},
	signin.InteractionRequired: {
		Heading: "Microsoft wants to ask you something first",
		Text:    "Sign in again, and answer what Microsoft asks.",
		Ways:    []Way{Again},
	},
	signin.Busy: {
		Heading: "Microsoft Entra has trouble just now",
		Text:    "It usually passes within minutes.",
		Ways:    []Way{Again},
	},
	signin.Other: {
		Heading: "Microsoft Entra refused the sign-in",
		Text:    "Search Microsoft's documentation for the number below, or send it to your administrator.",
		Ways:    []Way{Again, AnotherAccount},
	},
}
