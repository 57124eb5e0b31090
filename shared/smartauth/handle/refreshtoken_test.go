package handle

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// newGrant is a grant of some code.
func newGrant(ends time.Time) Grant { return GrantOf(New(ends), ends) }

func TestRefreshTokens(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	s, _ := keeper(&now)
	ctx := t.Context()
	first, err := NewRefreshToken(ctx, s.Sealer, newGrant(now.Add(90*24*time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	text := func(token RefreshToken) string {
		v, err := token.Text(ctx, s.Sealer)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v", v, v), "flr_") {
			t.Error("it prints itself")
		}
		return v.Reveal()
	}
	next := func(token RefreshToken) RefreshToken {
		n, err := token.Next(ctx, s.Sealer)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	read, err := ReadRefreshToken(ctx, s.Sealer, text(first))
	if err != nil || read != first || first.grant.day != uint32(now.Add(90*24*time.Hour).Unix()/86400) || len(text(first)) != 4+91 || strings.Trim(text(first), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		t.Fatalf("%+v, %v", read, err)
	}
	second := next(first)
	if second.generation != 1 || second.grant != first.grant || second.random == first.random || second.key != first.key || next(read) != second {
		t.Errorf("%+v after %+v", second, first)
	}
	if third := next(second); third.random == second.random || third.random == first.random || third.generation != 2 {
		t.Errorf("%+v", third)
	}
	other, err := NewRefreshToken(ctx, s.Sealer, newGrant(now))
	if err != nil || other.grant == first.grant || other.random == first.random {
		t.Errorf("%+v, %v", other, err)
	}

	good := text(first)
	raw, err := base64.RawURLEncoding.DecodeString(good[4:])
	if err != nil {
		t.Fatal(err)
	}
	wrong := []string{"", "flr_", good[4:], strings.Replace(good, "flr_", "flc_", 1), good + "A", good[:len(good)-1], good + "\n", good + "=", strings.ToUpper(good), "flr_" + strings.Repeat("A", 91)}
	for i := range raw { // each byte in turn
		changed := append([]byte{}, raw...)
		changed[i] ^= 1
		wrong = append(wrong, "flr_"+base64.RawURLEncoding.EncodeToString(changed))
	}
	for _, text := range wrong {
		if got, err := ReadRefreshToken(ctx, s.Sealer, text); !errors.Is(err, ErrNoRefreshToken) || got != (RefreshToken{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	elsewhere, _ := keeper(&now)
	if _, err := ReadRefreshToken(ctx, elsewhere.Sealer, good); !errors.Is(err, ErrNoRefreshToken) {
		t.Errorf("of another deployment: %v", err)
	}
}

func TestGrants(t *testing.T) {
	ends := time.Date(2027, 2, 27, 12, 0, 0, 0, time.UTC)
	code := New(ends)
	g, another := GrantOf(code, ends), GrantOf(New(ends), ends)
	if again, ok := ReadGrant(g.String()); !ok || again != g || g == another {
		t.Errorf("%v, %v", again, ok)
	}
	if again := GrantOf(code, ends); again != g {
		t.Errorf("the code leads to another grant: %v", again)
	}
	if k, _ := code.key(Code); strings.Contains(k.Name, g.String()[8:]) || strings.Contains(g.Key().Name, k.Name[2:]) {
		t.Errorf("the name of the grant tells where the code is: %v, %v", k, g.Key())
	}
	index, other := g.Index("clinic", "oid-1"), another.Index("clinic", "oid-1")
	if g.Key().Check() != nil || !strings.HasPrefix(g.Key().Partition, "g0000518c-") || g.Key() == another.Key() || strings.Contains(g.Key().Name, g.String()[8:]) ||
		index.Check() != nil || index.Partition != "uclinic_0000518c" || index.Name[:20] != other.Name[:20] || index.Name[:20] == g.Index("clinic", "oid-2").Name[:20] || !strings.HasSuffix(index.Name, "_"+g.String()) {
		t.Errorf("%v %v", g.Key(), index)
	}
	for _, wrong := range []string{"", "A", g.String() + "A", g.String()[1:], g.String() + "\n", strings.Repeat("!", 27)} {
		if _, ok := ReadGrant(wrong); ok {
			t.Errorf("%q is a grant", wrong)
		}
	}
}
