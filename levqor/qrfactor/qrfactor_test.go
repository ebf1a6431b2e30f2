package qrfactor_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"strings"
	"testing"

	goqr "github.com/piglig/go-qr"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/qrfactor"
)

func ExampleSVG() {
	svg, err := qrfactor.SVG("otpauth://totp/Engines:ada?secret=JBSWY3DPEHPK3PXP&issuer=Engines")
	fmt.Println(svg[:67], err)
	// Output:
	// <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 45 45" shape-r <nil>
}

func TestAReaderReadsWhatWasDrawn(t *testing.T) {
	for _, text := range []string{
		"otpauth://totp/Ada%20%26%20S%C3%B6hne:ada%2B1%40example.com?secret=ABCDEFGHIJKLMNOPQRSTUVWXYZ234567&issuer=Ada&algorithm=SHA1&digits=6&period=30",
		"x", `"/><script>`, "größe", strings.Repeat("a", 2000),
	} {
		svg, err := qrfactor.SVG(text)
		if err != nil {
			t.Fatalf("SVG = %v", err)
		}
		if got, err := goqr.Decode(raster(t, svg)); err != nil || got != text {
			t.Errorf("a reader reads %q, %v; want %q", got, err, text)
		}
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	for _, text := range []string{"", strings.Repeat("a", 3000)} {
		_, err := qrfactor.SVG(text)
		if all := fault.All(err); !errors.Is(err, fault.ErrInvalid) || len(all) != 1 || all[0].Field != "/text" {
			t.Errorf("SVG of %d bytes = %v, want an ErrInvalid about /text", len(text), err)
		}
	}
}

// raster draws the element as a browser would, four pixels for each module.
func raster(t *testing.T, svg string) image.Image {
	t.Helper()
	var element struct {
		ViewBox string `xml:"viewBox,attr"`
		Paths   []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal([]byte(svg), &element); err != nil || len(element.Paths) != 2 {
		t.Fatalf("the element is %+v, %v", element, err)
	}
	var size int
	if _, err := fmt.Sscanf(element.ViewBox, "0 0 %d", &size); err != nil {
		t.Fatal(err)
	}
	const scale = 4
	img := image.NewRGBA(image.Rect(0, 0, size*scale, size*scale))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	for module := range strings.SplitSeq(strings.TrimSuffix(element.Paths[1].D, "z"), "z") {
		var x, y int
		if _, err := fmt.Sscanf(module, "M%d %dh1v1h-1", &x, &y); err != nil {
			t.Fatalf("%q: %v", module, err)
		}
		draw.Draw(img, image.Rect(x*scale, y*scale, (x+1)*scale, (y+1)*scale), image.NewUniform(color.Black), image.Point{}, draw.Src)
	}
	return img
}
