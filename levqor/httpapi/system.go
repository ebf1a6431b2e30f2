package httpapi

import (
	"bytes"
	"context"
	"runtime/debug"

	"github.com/levqor/sdk"
	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
)

// GetHealth implements the operation.
func (s *server) GetHealth(context.Context, oas.GetHealthRequestObject) (oas.GetHealthResponseObject, error) {
	return oas.GetHealth200JSONResponse{Status: client.StatusStatusOk}, nil
}

// GetReadiness implements the operation.
func (s *server) GetReadiness(ctx context.Context, _ oas.GetReadinessRequestObject) (oas.GetReadinessResponseObject, error) {
	if err := s.app.Ready(ctx); err != nil {
		return nil, err
	}
	return oas.GetReadiness200JSONResponse{Status: client.StatusStatusOk}, nil
}

// GetVersion implements the operation.
func (s *server) GetVersion(context.Context, oas.GetVersionRequestObject) (oas.GetVersionResponseObject, error) {
	return oas.GetVersion200JSONResponse{Version: s.opts.Version, API: s.doc.Info.Version}, nil
}

// GetOpenAPI implements the operation.
func (s *server) GetOpenAPI(context.Context, oas.GetOpenAPIRequestObject) (oas.GetOpenAPIResponseObject, error) {
	return oas.GetOpenAPI200ApplicationOpenapiYamlResponse{
		Body: bytes.NewReader(sdk.OpenAPI), ContentLength: int64(len(sdk.OpenAPI)),
	}, nil
}

// ResealSecrets implements the operation. A repetition finds the job that is there.
func (s *server) ResealSecrets(ctx context.Context, _ oas.ResealSecretsRequestObject) (oas.ResealSecretsResponseObject, error) {
	info, err := s.app.StartReseal(ctx, caller(ctx).Tenant)
	location := "/api/v1/jobs/" + info.ID.String()
	return oas.ResealSecrets202JSONResponse{Body: wireJob(info), Headers: oas.ResealSecrets202ResponseHeaders{Location: &location}}, err
}

// buildVersion returns the version of this module as the build knows it.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	const module = "github.com/levqor/sdk"
	if info.Main.Path == module && info.Main.Version != "" {
		return info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	return "(devel)"
}
