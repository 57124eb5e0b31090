"""Gets an access token for a link, and asks the link's FHIR server how many patients it has.

Needs Python 3.8 or newer and no packages: python3 token.py

token.sh says what the FHIRLINK_ variables mean, and where your application gets its own Entra
token (FHIRLINK_ACCESS_TOKEN).
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

URL = (os.environ.get("FHIRLINK_URL") or "http://127.0.0.1:7071").rstrip("/")
SLUG = os.environ.get("FHIRLINK_SLUG") or "good-health-clinic"
ACCESS_TOKEN = os.environ.get("FHIRLINK_ACCESS_TOKEN")


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token must not follow a redirect to another server, so none is followed."""

    def redirect_request(self, *_):
        return None


opener = urllib.request.build_opener(NoRedirects)


def problem(answer):
    """Returns the error in an answer of RFC 6749, section 5.2."""
    if "error" in answer:
        return f"{answer['error']}: {answer.get('error_description')}"
    return "the answer is no OAuth error; does a proxy answer in place of the API?"


def get_token():
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "slug": SLUG})
    request = urllib.request.Request(URL + "/api/token", data=form.encode())
    if ACCESS_TOKEN:
        request.add_header("Authorization", "Bearer " + ACCESS_TOKEN)
    try:
        with opener.open(request, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as refused:
        try:
            answer = json.load(refused)
        except ValueError:  # no JSON
            answer = {}
        if refused.code == 503:
            wait = refused.headers.get("Retry-After", "a few")
            sys.exit(f"Try again in {wait} seconds: {problem(answer)}")
        sys.exit(f"No token (HTTP {refused.code}): {problem(answer)}")


def count_patients(fhir, access_token):
    request = urllib.request.Request(fhir.rstrip("/") + "/Patient?_summary=count")
    request.add_header("Authorization", "Bearer " + access_token)
    request.add_header("Accept", "application/fhir+json")
    try:
        with opener.open(request, timeout=30) as response:
            return json.load(response)["total"]
    except urllib.error.HTTPError as refused:
        sys.exit(f"{fhir} refuses the token or the request (HTTP {refused.code}).")


def main():
    try:
        token = get_token()
        print(f"Token for {token['resource']}, valid for {token['expires_in']} seconds.")
        fhir = os.environ.get("FHIRLINK_FHIR_URL") or token["resource"]
        print(f"Patients: {count_patients(fhir, token['access_token'])}")
    except OSError as error:  # no connection, no such name, or a timeout
        sys.exit(f"No answer: {error}")


if __name__ == "__main__":
    main()
