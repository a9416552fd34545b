<%@ page import="java.util.*" %><%
List<Map<String, String>> cart = (List<Map<String, String>>) session.getAttribute("cart");
if (cart == null) {
    cart = new ArrayList<>();
    session.setAttribute("cart", cart);
}
if (cart.size() < 50)
    cart.add(new TreeMap<>(Map.of("article", "article " + cart.size(), "price", cart.size() + ".99")));
%><html><body><table><% for (Map<String, String> row : cart) { %>
<tr><td><%= row.get("article") %></td><td><%= row.get("price") %></td></tr><% } %>
</table></body></html>
