// Package me serves GET /api/me: who the caller is to this API, and what it may do.
//
// It answers 200 to every valid token, also to one without any right, so that a front end can say what
// is missing before its user meets a 403.
package me
